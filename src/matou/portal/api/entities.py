"""What the API answers with: GitLab's entities, as far as this product has what they tell.

Attributes that not everybody may see are left unset where they are hidden, and unset attributes are not sent.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, Field, PlainSerializer, WithJsonSchema


def _timestamp(moment: datetime | None) -> str | None:
    """GitLab's form of a moment: ISO 8601 in UTC with milliseconds, always."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Timestamp = Annotated[
    datetime,
    PlainSerializer(_timestamp, return_type=str | None),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class Entity(BaseModel):
    """Base of all entities: sends defaults too, but of the attributes in ``hidden`` only those that were set."""

    hidden: ClassVar[frozenset[str]] = frozenset()

    def model_post_init(self, _context: Any, /) -> None:
        """Marks defaults as set, so that operations can leave out exactly what is hidden."""
        self.__pydantic_fields_set__.update(type(self).model_fields.keys() - self.hidden)


class Message(Entity):
    """What is to be said."""

    message: str


class Metadata(Entity):
    """What is running."""

    version: str
    revision: str
    enterprise: bool


class Version(Entity):
    """The version alone."""

    version: str
    revision: str


class UserBasic(Entity):
    """A user as anybody may see it."""

    id: int
    username: str
    public_email: str | None = None
    name: str
    state: str = Field(description="`active` or `blocked`.")
    locked: bool = False
    avatar_url: str | None = None
    web_url: str


class User(UserBasic):
    """A user; e-mail and the like only for administrators and the user."""

    hidden = frozenset(
        {
            "email", "commit_email", "is_admin", "last_sign_in_at", "confirmed_at", "external",
            "can_create_group", "can_create_project", "two_factor_enabled", "namespace_id",
        }
    )  # fmt: skip

    created_at: Timestamp | None = None
    bot: bool = False
    email: str | None = None
    commit_email: str | None = None
    is_admin: bool | None = None
    last_sign_in_at: Timestamp | None = None
    confirmed_at: Timestamp | None = None
    external: bool | None = None
    can_create_group: bool | None = None
    can_create_project: bool | None = None
    two_factor_enabled: bool | None = None
    namespace_id: int | None = None


class Member(UserBasic):
    """A user with a role in a group or project."""

    access_level: int = Field(description="10 Guest, 15 Planner, 20 Reporter, 30 Developer, 40 Maintainer, 50 Owner.")
    created_at: Timestamp
    created_by: UserBasic | None = None
    expires_at: date | None
    membership_state: str = "active"


class Membership(Entity):
    """Where a user is a member."""

    source_id: int
    source_name: str
    source_type: str = Field(description="`Project`, or `Namespace` for groups.")
    access_level: int


class MembersAdded(Entity):
    """What became of several new members."""

    hidden = frozenset({"message"})

    status: str = Field(description="`success`, or `error` when some could not be added.")
    message: dict[str, str] | None = Field(default=None, description="Why, by user name.")


class Namespace(Entity):
    """Where a project or group is."""

    id: int
    name: str
    path: str
    kind: str = Field(description="`group` or `user`.")
    full_path: str
    parent_id: int | None
    avatar_url: str | None = None
    web_url: str


class Existence(Entity):
    """Whether a path is taken."""

    exists: bool
    suggests: tuple[str, ...] = ()


class Access(Entity):
    """A role that the caller has."""

    access_level: int
    notification_level: int = 3


class Permissions(Entity):
    """The roles that the caller has in a project, itself and through its groups."""

    project_access: Access | None
    group_access: Access | None


class ProjectLinks(Entity):
    """Where to go on from a project."""

    self: str
    members: str


class ProjectBasic(Entity):
    """A project, with `simple=true` or for callers who are not signed in."""

    id: int
    description: str | None
    name: str
    name_with_namespace: str
    path: str
    path_with_namespace: str
    created_at: Timestamp
    default_branch: str | None = None
    tag_list: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    web_url: str
    avatar_url: str | None = None
    star_count: int = 0
    forks_count: int = 0
    last_activity_at: Timestamp
    visibility: str
    namespace: Namespace


class Project(ProjectBasic):
    """A project."""

    hidden = frozenset({"owner", "permissions"})

    container_registry_image_prefix: str | None = Field(None, description="What an image's name begins with.")
    links: ProjectLinks = Field(serialization_alias="_links")
    archived: bool
    updated_at: Timestamp
    owner: UserBasic | None = None
    container_registry_enabled: bool
    container_registry_access_level: str = Field(description="`enabled`, `private` or `disabled`.")
    creator_id: int | None
    empty_repo: bool = True
    shared_with_groups: tuple[int, ...] = ()
    permissions: Permissions | None = None


class Group(Entity):
    """A group."""

    id: int
    web_url: str
    name: str
    path: str
    description: str
    visibility: str
    full_name: str
    full_path: str
    created_at: Timestamp
    parent_id: int | None
    avatar_url: str | None = None
    organization_id: int = 1
    project_creation_level: str = "developer"
    subgroup_creation_level: str = "maintainer"


class GroupDetail(Group):
    """A group with its projects, as GitLab answers to a request for one group."""

    projects: tuple[Project, ...] = ()
    shared_projects: tuple[Project, ...] = ()
    shared_with_groups: tuple[int, ...] = ()


class AccessToken(Entity):
    """A personal access token."""

    id: int
    name: str
    description: str | None = None
    revoked: bool
    created_at: Timestamp
    scopes: list[str]
    user_id: int
    last_used_at: Timestamp | None = None
    active: bool
    expires_at: date | None


class AccessTokenWithSecret(AccessToken):
    """A personal access token, once, with its secret."""

    token: str = Field(description="The secret. It is shown this once.")


class ResourceAccessToken(AccessToken):
    """A project's or group's access token."""

    access_level: int
    resource_type: str = Field(description="`project` or `group`.")
    resource_id: int


class ResourceAccessTokenWithSecret(ResourceAccessToken):
    """A project's or group's access token, once, with its secret."""

    token: str = Field(description="The secret. It is shown this once.")


class DeployToken(Entity):
    """A deploy token."""

    id: int
    name: str
    username: str
    expires_at: Timestamp | None
    scopes: list[str]
    revoked: bool
    expired: bool


class DeployTokenWithSecret(DeployToken):
    """A deploy token, once, with its secret."""

    token: str = Field(description="The secret. It is shown this once.")


class JobToken(Entity):
    """A token for one job of an external CI system."""

    id: int
    username: str = Field(description="`gitlab-ci-token`: the user name to log in to the registry with.")
    created_at: Timestamp
    expires_at: Timestamp
    revoked: bool


class JobTokenWithSecret(JobToken):
    """A job's token, once, with its secret."""

    token: str = Field(description="The secret. It is shown this once.")
