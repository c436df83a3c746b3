from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from matou.portal.accounts.models import User
from matou.portal.images.models import ContainerRepository, OrphanedRepository
from matou.portal.namespaces import services
from matou.portal.namespaces.models import AccessLevel, Member, Namespace, Project, Route
from matou.portal.namespaces.roles import group_role, project_role
from matou.portal.tokens.models import AccessToken

if TYPE_CHECKING:
    from tests.unit.portal.conftest import Tree

TAKEN = ["has already been taken"]


def refusal(call: Any, *arguments: Any, **values: Any) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as refused:
        call(*arguments, **values)
    return refused.value.message_dict


def test_groups_nest(tree: Tree) -> None:
    owner = tree.user()
    top = tree.group(owner, path="Top")
    inner = tree.group(owner, parent=top, path="inner", name="Inner")
    assert (top.full_path, inner.full_path) == ("Top", "Top/inner")
    assert inner.lineage_ids == [top.pk, inner.pk]
    assert (inner.visibility, inner.kind) == ("private", "group")
    assert group_role(owner, inner) == AccessLevel.OWNER
    assert list(Member.objects.filter(user=owner).values_list("group", flat=True)) == [top.pk]
    assert services.find_group_by_path("tOP/INNER") == inner
    assert services.find_group_by_path("inner") is None
    assert services.find_group_by_path(owner.username) is None


def test_a_creator_who_is_no_owner_above_owns_the_subgroup(tree: Tree) -> None:
    top = tree.group()
    maintainer = tree.member(top, AccessLevel.MAINTAINER).user
    inner = tree.group(maintainer, parent=top)
    assert group_role(maintainer, inner) == AccessLevel.OWNER
    assert group_role(maintainer, top) == AccessLevel.MAINTAINER


def test_paths_are_one_space_whatever_their_case(tree: Tree) -> None:
    owner = tree.user("alice")
    top = tree.group(owner, path="top")
    tree.group(owner, parent=top, path="a")
    tree.project(top, owner, path="b")
    assert refusal(tree.group, owner, path="ALICE") == {"path": TAKEN}
    assert refusal(tree.group, owner, path="TOP") == {"path": TAKEN}
    assert refusal(tree.group, owner, parent=top, path="B", name="other") == {"path": TAKEN}
    assert refusal(tree.project, top, owner, path="A", name="other") == {"path": TAKEN}
    assert refusal(tree.project, top, owner, path="b", name="b") == {"name": TAKEN, "path": TAKEN}
    user = User.objects.create(username="Top", name="Top", email="top@example.com")
    assert refusal(services.create_user_namespace, user) == {"username": TAKEN}


def test_names_are_unique_beside_each_other(tree: Tree) -> None:
    owner = tree.user()
    top = tree.group(owner)
    tree.group(owner, parent=top, name="Same")
    tree.project(top, owner, name="Same")
    assert refusal(tree.group, owner, parent=top, name="Same") == {"name": TAKEN}
    assert refusal(tree.project, top, owner, name="Same") == {"name": TAKEN}
    tree.project(owner.namespace, owner, name="Same")
    tree.group(owner, name="Same")
    tree.group(owner, name="Same")


def test_all_problems_are_told_at_once(tree: Tree) -> None:
    top = tree.group()
    problems = refusal(tree.project, top, path="-", name="<", visibility="public")
    assert problems.keys() == {"path", "name", "visibility_level"}
    assert problems["visibility_level"] == ["public is not allowed in a private group."]


def test_depth_and_length_have_limits(tree: Tree) -> None:
    owner = tree.user()
    group = tree.group(owner)
    for _ in range(20):
        group = tree.group(owner, parent=group, path="g", name="g")
    assert refusal(tree.group, owner, parent=group) == {"parent_id": ["has too deep level of nesting"]}
    assert "names of images" in refusal(tree.project, group, owner, path="p" * 230, name="p")["path"][0]
    user = tree.user()
    assert "parent_id" in refusal(tree.group, user, parent=user.namespace)


def test_visibility_follows_the_groups_above(tree: Tree) -> None:
    owner = tree.user()
    top = tree.group(owner, visibility="internal")
    assert refusal(tree.group, owner, parent=top, visibility="public") == {
        "visibility_level": ["public is not allowed since the parent group has a internal visibility."]
    }
    tree.group(owner, parent=top, visibility="internal")
    assert refusal(services.update_group, top, visibility="private") == {
        "visibility_level": ["private is not allowed since there are sub-groups with higher visibility."]
    }
    other = tree.group(owner, visibility="public")
    project = tree.project(other, owner, visibility="public")
    assert refusal(services.update_group, other, visibility="internal") == {
        "visibility_level": ["internal is not allowed since this group contains projects with higher visibility."]
    }
    services.update_project(project, visibility="private")
    assert services.update_group(other, visibility="private").visibility == "private"
    assert refusal(services.update_project, project, visibility="internal") == {
        "visibility_level": ["internal is not allowed in a private group."]
    }
    personal = tree.project(visibility="public")
    assert personal.visibility == "public"


def test_renaming_a_group_moves_what_is_below(tree: Tree) -> None:
    owner = tree.user()
    top = tree.group(owner, path="old")
    inner = tree.group(owner, parent=top, path="Inner")
    project = tree.project(inner, owner, path="Shop")
    beside = tree.project(tree.group(owner, path="old2"), owner, path="shop")
    moved = services.update_group(top, path="NewName", name="New")
    assert (moved.path, moved.full_path, moved.name) == ("NewName", "NewName", "New")
    assert Namespace.objects.get(pk=inner.pk).full_path == "NewName/Inner"
    assert Project.objects.get(pk=project.pk).full_path == "NewName/Inner/Shop"
    assert Project.objects.get(pk=beside.pk).full_path == "old2/shop"
    assert services.find_project_by_path("newname/inner/shop") == project
    assert services.find_project_by_path("old/inner/shop") is None
    assert set(Route.objects.filter(path__startswith="newname").values_list("path", flat=True)) == {
        "newname", "newname/inner", "newname/inner/shop",
    }  # fmt: skip
    assert services.update_group(moved, path="newname").full_path == "newname"
    assert refusal(services.update_group, moved, path="old2") == {"path": TAKEN}
    assert "names of images" in refusal(services.update_group, moved, path="x" * 250)["path"][0]


def test_names_of_images_never_change(tree: Tree) -> None:
    owner = tree.user()
    top = tree.group(owner)
    project = tree.project(top, owner)
    ContainerRepository.objects.create(project=project, name="web")
    for refused in (
        refusal(services.update_group, top, path="other"),
        refusal(services.update_project, project, path="other"),
    ):
        assert f"{project.full_path} has images in the registry" in refused["path"][0]
    services.update_project(project, name="Other")
    assert Project.objects.get(pk=project.pk).full_path == project.full_path


def test_projects(tree: Tree) -> None:
    owner = tree.user()
    project = tree.project(owner.namespace, owner, path="Shop", name="Web shop")
    assert project.full_path == f"{owner.username}/Shop"
    assert (project.visibility, project.container_registry_access_level) == ("private", "enabled")
    assert project_role(owner, project) == AccessLevel.OWNER
    changed = services.update_project(
        project,
        path="store",
        description="说明",
        container_registry_access_level="disabled",
        archived=True,
    )
    assert (changed.full_path, changed.description) == (f"{owner.username}/store", "说明")
    assert (changed.container_registry_access_level, changed.archived) == ("disabled", True)
    assert changed.updated_at > project.updated_at
    assert services.find_project_by_path(f"{owner.username}/STORE") == project
    services.delete_project(changed)
    assert not Route.objects.filter(path__endswith="store").exists()


def test_a_creator_in_a_group_owns_the_project(tree: Tree) -> None:
    group = tree.group()
    developer = tree.member(group, AccessLevel.DEVELOPER).user
    project = tree.project(group, developer)
    assert project_role(developer, project) == AccessLevel.OWNER
    assert group_role(developer, group) == AccessLevel.DEVELOPER


def test_an_administrator_makes_a_users_project(tree: Tree) -> None:
    admin, user = tree.user(is_admin=True), tree.user()
    project = tree.project(user.namespace, admin)
    assert project_role(user, project) == AccessLevel.OWNER
    assert project_role(admin, project) == 0
    assert project.creator == admin


def test_deleting_takes_everything_below_and_the_bots(tree: Tree) -> None:
    owner = tree.user()
    top = tree.group(owner)
    inner = tree.group(owner, parent=top)
    project = tree.project(inner, owner)
    other = tree.project(creator=owner)
    bots = []
    places: list[dict[str, Any]] = [{"group": top}, {"project": project}, {"project": other}]
    for number, place in enumerate(places):
        bot = User.objects.create(username=f"bot{number}", name="b", email=f"b{number}@example.com", is_bot=True)
        AccessToken.objects.create(user=bot, name="t", digest=str(number), **place)
        bots.append(bot.pk)
    services.delete_group(top)
    assert not Namespace.objects.filter(pk__in=[top.pk, inner.pk]).exists()
    assert not Project.objects.filter(pk=project.pk).exists()
    assert list(User.objects.filter(pk__in=bots).values_list("pk", flat=True)) == bots[2:]
    assert Route.objects.filter(project=other).exists()
    services.delete_project(other)
    assert not User.objects.filter(pk__in=bots).exists()
    assert User.objects.filter(pk=owner.pk).exists()


def test_images_of_a_deleted_project_are_nobodys(tree: Tree) -> None:
    owner = tree.user()
    top = tree.group(owner, path="Harbour")
    project = tree.project(top, owner, path="Shop")
    for name in ("", "web", "web/deep"):
        ContainerRepository.objects.create(project=project, name=name)
    services.delete_group(top)
    assert ContainerRepository.objects.count() == 0

    thief = tree.user()
    again = tree.group(thief, path="harbour")
    assert "images of a deleted project" in refusal(tree.project, again, thief, path="shop")["path"][0]
    below = tree.group(thief, parent=again, path="shop")
    assert "images of a deleted project" in refusal(tree.project, below, thief, path="web")["path"][0]
    other = tree.project(below, thief, path="other")
    assert "images of a deleted project" in refusal(services.update_project, other, path="Web")["path"][0]
    elsewhere = tree.project(tree.group(thief, path="quay"), thief)
    services.delete_group(again)
    assert (
        "images of a deleted project" in refusal(services.update_group, elsewhere.namespace, path="harbour")["path"][0]
    )
    services.update_project(elsewhere, name="still works")

    admin = tree.user(is_admin=True)
    heir = tree.project(tree.group(admin, path="harbour"), admin, path="shop")
    names = ContainerRepository.objects.filter(project=heir).values_list("name", flat=True)
    assert set(names) == {"", "web", "web/deep"}
    assert OrphanedRepository.objects.count() == 0
    services.delete_project(heir)
    assert OrphanedRepository.objects.count() == 3


def test_user_namespaces(tree: Tree) -> None:
    user = tree.user("bob")
    project = tree.project(user.namespace, user, path="p")
    user.username, user.name = "Robert", "Robert B."
    user.save()
    namespace = services.rename_user_namespace(user)
    assert (namespace.full_path, namespace.name, namespace.kind) == ("Robert", "Robert B.", "user")
    assert Project.objects.get(pk=project.pk).full_path == "Robert/p"
    assert services.find_project_by_path("robert/p") == project
    user.username = "admin"
    assert refusal(services.rename_user_namespace, user) == {"username": ["admin is a reserved name"]}
    services.delete_user_namespace(User.objects.get(pk=user.pk))
    assert not Route.objects.filter(path__startswith="robert").exists()


def tomorrow() -> dt.date:
    return timezone.now().date() + dt.timedelta(days=1)


def test_members(tree: Tree) -> None:
    owner, user = tree.user(), tree.user()
    group = tree.group(owner)
    project = tree.project(group, owner)
    member = services.add_member(source=project, user=user, access_level=30, created_by=owner, expires_at=tomorrow())
    assert [found.user for found in services.direct_members(project)] == [user]
    assert [found.user for found in services.all_members(project)] == [owner, user]
    with pytest.raises(services.MemberExistsError):
        services.add_member(source=project, user=user, access_level=30, created_by=owner)
    assert services.update_member(member, access_level=20, expires_at=None).access_level == 20
    services.remove_member(member)
    assert list(services.direct_members(project)) == []
    assert "expires_at" in refusal(
        services.add_member,
        source=project, user=user, access_level=30, created_by=None, expires_at=timezone.now().date(),
    )  # fmt: skip
    assert "access_level" in refusal(services.add_member, source=project, user=user, access_level=31, created_by=None)


def test_expired_memberships_are_replaced(tree: Tree) -> None:
    user = tree.user()
    group = tree.group()
    member = tree.member(group, AccessLevel.DEVELOPER, user)
    Member.objects.filter(pk=member.pk).update(expires_at=timezone.now().date())
    assert user not in [found.user for found in services.direct_members(group)]
    assert tree.member(group, AccessLevel.GUEST, user).access_level == AccessLevel.GUEST


def test_the_highest_membership_counts_and_of_equals_the_nearest(tree: Tree) -> None:
    user = tree.user()
    top = tree.group()
    inner = tree.group(parent=top)
    project = tree.project(inner)
    tree.member(project, AccessLevel.GUEST, user)
    tree.member(inner, AccessLevel.DEVELOPER, user)
    highest = tree.member(top, AccessLevel.DEVELOPER, user)

    def found() -> list[Member]:
        return [member for member in services.all_members(project) if member.user == user]

    assert [member.group for member in found()] == [inner]
    highest.access_level = AccessLevel.MAINTAINER
    highest.save()
    assert [member.group for member in found()] == [top]
    assert [member.access_level for member in services.direct_members(project) if member.user == user] == [10]


def test_a_role_is_not_below_the_inherited_one(tree: Tree) -> None:
    user = tree.user()
    top = tree.group(name="Wharf")
    tree.member(top, AccessLevel.DEVELOPER, user)
    inner = tree.group(parent=top)
    expected = {"access_level": ["should be greater than or equal to Developer inherited membership from group Wharf"]}
    for source in (inner, tree.project(inner)):
        assert refusal(tree.member, source, AccessLevel.REPORTER, user) == expected
        member = tree.member(source, AccessLevel.DEVELOPER, user)
        assert refusal(services.update_member, member, access_level=10, expires_at=None) == expected


def test_somebody_owns_every_group(tree: Tree) -> None:
    owner = tree.user()
    group = tree.group(owner)
    member = Member.objects.get(group=group)
    for call in (
        lambda: services.remove_member(member),
        lambda: services.update_member(member, access_level=40, expires_at=None),
        lambda: services.update_member(member, access_level=50, expires_at=tomorrow()),
    ):
        with pytest.raises(services.LastOwnerError):
            call()
    tree.member(group, AccessLevel.OWNER, tree.user(is_active=False))
    with pytest.raises(services.LastOwnerError):
        services.remove_member(member)
    tree.member(group, AccessLevel.OWNER)
    services.remove_member(member)
    assert group_role(owner, group) == 0


def test_somebody_owns_every_personal_project(tree: Tree) -> None:
    project = tree.project()
    with pytest.raises(services.LastOwnerError):
        services.remove_member(Member.objects.get(project=project))
    member = tree.member(project, AccessLevel.OWNER)
    services.remove_member(member)
    assert Member.objects.filter(project=project).count() == 1


def test_leaving_a_group_leaves_what_is_below(tree: Tree) -> None:
    user = tree.user()
    top = tree.group()
    inner = tree.group(parent=top)
    elsewhere = tree.member(tree.group(), AccessLevel.GUEST, user)
    member = tree.member(top, AccessLevel.GUEST, user)
    tree.member(inner, AccessLevel.DEVELOPER, user)
    tree.member(tree.project(inner), AccessLevel.DEVELOPER, user)
    services.remove_member(member, below=False)
    assert Member.objects.filter(user=user).count() == 3
    services.remove_member(tree.member(top, AccessLevel.GUEST, user))
    assert list(Member.objects.filter(user=user)) == [elsewhere]
