"""``matou admin``: users, tokens and projects, on the machine of the portal.

The commands work on the portal's database, whether the server runs or not; Django is loaded when one of them runs.
"""

from __future__ import annotations

import contextlib
import datetime as dt  # noqa: TC003 -- Typer reads annotations at run time
import json
import os
import sqlite3
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matou.cli.failure import CommandFailed, WrongUsage
from matou.cli.language import text as _

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matou.portal.accounts.models import User
    from matou.portal.namespaces.models import Namespace, Project

app = typer.Typer(
    name="admin",
    add_completion=False,
    help=_("Make and change users, access tokens and projects on this machine; MATOU_HOME says of which installation."),
)


class VisibilityName(StrEnum):
    """Who may see a project."""

    PRIVATE = "private"
    INTERNAL = "internal"
    PUBLIC = "public"


class RoleName(StrEnum):
    """Roles of members."""

    GUEST = "guest"
    PLANNER = "planner"
    REPORTER = "reporter"
    DEVELOPER = "developer"
    MAINTAINER = "maintainer"
    OWNER = "owner"


UserName = Annotated[str, typer.Argument(metavar="USER", help=_("User name or e-mail address."), show_default=False)]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help=_("Read the password from standard input."))]
AsJson = Annotated[bool, typer.Option("--json", help=_("Print JSON."))]


@app.callback()
def admin() -> None:
    """Make this a group."""


@app.command("create-user", help=_("Make a user, who may sign in with a password."))
def create_user(
    name: Annotated[str, typer.Argument(metavar="NAME", help=_("User name."), show_default=False)],
    *,
    password_stdin: PasswordStdin = False,
    email: Annotated[
        str | None, typer.Option("--email", help=_("E-mail address; NAME@noreply.invalid unless given."))
    ] = None,
    full_name: Annotated[
        str | None, typer.Option("--name", help=_("Name to show; the user name unless given."))
    ] = None,
    is_admin: Annotated[bool, typer.Option("--admin", help=_("Make an administrator."))] = False,
) -> None:
    """Make a user."""
    password = _read_password(password_stdin=password_stdin)
    with _portal():
        from matou.portal.accounts import services

        user = services.create_user(
            username=name,
            name=full_name or name,
            email=email or f"{name}@noreply.invalid",
            password=password,
            is_admin=is_admin,
        )
    typer.echo(_("user {name} made, with id {id}").format(name=user.username, id=user.pk))


@app.command("reset-password", help=_("Give a user another password; what the old one signed in ends."))
def reset_password(user: UserName, *, password_stdin: PasswordStdin = False) -> None:
    """Set a password."""
    password = _read_password(password_stdin=password_stdin)
    with _portal():
        from axes.handlers.proxy import AxesProxyHandler

        from matou.portal.accounts import services

        found = _find_user(user)
        services.set_password(found, password)
        AxesProxyHandler.reset_attempts(username=found.username.lower())
    typer.echo(_("password of {name} changed").format(name=found.username))


@app.command("block-user", help=_("Let a user do nothing any more, with whatever credentials."))
def block_user(user: UserName) -> None:
    """Block a user."""
    with _portal():
        from matou.portal.accounts import services

        found = _find_user(user)
        services.block_user(found)
    typer.echo(_("user {name} blocked").format(name=found.username))


@app.command("unblock-user", help=_("Let a blocked user in again, and forget its wrong passwords."))
def unblock_user(user: UserName) -> None:
    """Unblock a user."""
    with _portal():
        from axes.handlers.proxy import AxesProxyHandler

        from matou.portal.accounts import services

        found = _find_user(user)
        services.unblock_user(found)
        AxesProxyHandler.reset_attempts(username=found.username.lower())
    typer.echo(_("user {name} unblocked").format(name=found.username))


@app.command("list-users", help=_("List the users."))
def list_users(*, as_json: AsJson = False) -> None:
    """List users."""
    with _portal():
        from matou.portal.accounts.models import User

        rows = [
            {
                "id": user.pk,
                "username": user.username,
                "name": user.name,
                "email": user.email,
                "state": user.state,
                "is_admin": user.is_admin,
                "bot": user.is_bot,
            }
            for user in User.objects.order_by("pk")
        ]
    _print_rows(rows, as_json=as_json)


@app.command("create-token", help=_("Make a personal access token and print it, alone; it cannot be shown again."))
def create_token(
    user: UserName,
    *,
    scopes: Annotated[
        list[str],
        typer.Option(
            "--scope",
            help=_("What it allows: api, read_api, read_user, read_registry, write_registry, ...; may be repeated."),
            show_default=False,
        ),
    ],
    name: Annotated[str, typer.Option("--name", help=_("To tell tokens apart."))] = "matou admin",
    expires_at: Annotated[
        dt.datetime | None,
        typer.Option(
            "--expires-at",
            formats=["%Y-%m-%d"],
            help=_("The day (UTC) from which on it is refused; never unless given."),
        ),
    ] = None,
) -> None:
    """Make an access token."""
    with _portal():
        from matou.portal.tokens.services import create_access_token

        _token, secret = create_access_token(
            user=_find_user(user),
            name=name,
            scopes=[scope for part in scopes for scope in part.replace(",", " ").split()],
            expires_at=expires_at.date() if expires_at else None,
        )
    typer.echo(secret)


@app.command("create-project", help=_("Make a project, with the groups above it that are missing; root owns them."))
def create_project(
    path: Annotated[
        str, typer.Argument(metavar="GROUP/PROJECT", help=_("Full path of the project."), show_default=False)
    ],
    *,
    visibility: Annotated[
        VisibilityName, typer.Option("--visibility", help=_("Who may see it, and the groups made for it."))
    ] = VisibilityName.PRIVATE,
) -> None:
    """Make a project."""
    *groups, name = path.strip("/").split("/")
    if not groups:
        raise WrongUsage(_("{path} names no group: expected GROUP/PROJECT").format(path=path))
    with _portal():
        from django.db import transaction

        from matou.portal.namespaces import services

        root = _administrator()
        with transaction.atomic():
            namespace = _ensure_namespace(groups, root, visibility)
            project = services.create_project(
                creator=root, namespace=namespace, name=name, path=name, visibility=visibility.value
            )
    typer.echo(_("project {path} made, with id {id}").format(path=project.full_path, id=project.pk))


@app.command("list-projects", help=_("List the projects."))
def list_projects(*, as_json: AsJson = False) -> None:
    """List projects."""
    with _portal():
        from matou.portal.namespaces.models import Project

        rows = [
            {
                "id": project.pk,
                "path_with_namespace": project.full_path,
                "visibility": project.visibility,
                "container_registry_access_level": project.container_registry_access_level,
                "archived": project.archived,
            }
            for project in Project.objects.order_by("full_path")
        ]
    _print_rows(rows, as_json=as_json)


@app.command("add-member", help=_("Give a user a role in a group or project, or change it."))
def add_member(
    user: UserName,
    path: Annotated[
        str, typer.Argument(metavar="PATH", help=_("Full path of the group or project."), show_default=False)
    ],
    *,
    role: Annotated[RoleName, typer.Option("--role", help=_("The role."))] = RoleName.DEVELOPER,
) -> None:
    """Add or change a member."""
    with _portal():
        from matou.portal.namespaces import services
        from matou.portal.namespaces.models import AccessLevel

        found, place = _find_user(user), _find_place(path)
        level = AccessLevel[role.name]
        member = services.direct_members(place).filter(user=found).first()
        try:
            if member is None:
                services.add_member(source=place, user=found, access_level=level, created_by=_administrator())
            else:
                services.update_member(member, access_level=level, expires_at=member.expires_at)
        except services.LastOwnerError as error:
            raise CommandFailed(
                _("{name} is the only owner of {path}").format(name=found.username, path=place.full_path)
            ) from error
    typer.echo(_("{name} is {role} in {path} now").format(name=found.username, role=role.value, path=place.full_path))


@contextlib.contextmanager
def _portal() -> Iterator[None]:
    """Load the portal and turn its errors into one line."""
    from matou.config.installation import Installation, InstallationError

    try:
        installation = Installation.from_environ()
    except InstallationError as error:
        raise CommandFailed(str(error)) from error
    if not _can_be_read(installation.portal_database):
        raise CommandFailed(
            _(
                "{path}: there is no installation that this user may use; start 'matou serve' once, set MATOU_HOME, or "
                "run this as the user that runs 'matou serve'"
            ).format(path=installation.portal_database)
        )
    from django.core.exceptions import ValidationError
    from django.db import DatabaseError

    from matou.portal.setup import start_django

    try:
        start_django()
        yield
    except ValidationError as error:
        raise CommandFailed(_explain(error)) from error
    except (DatabaseError, sqlite3.Error) as error:
        raise CommandFailed(
            _("{path}: {error}; if Matou was upgraded, start 'matou serve' first").format(
                path=installation.portal_database, error=error
            )
        ) from error


def _can_be_read(path: Any) -> bool:
    return os.access(path, os.R_OK | os.W_OK)


def _explain(error: Any) -> str:
    """Return a validation error as one line."""
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    fields = error.message_dict.items()
    return "; ".join(
        " ".join(messages) if name == "__all__" else f"{name}: {' '.join(messages)}" for name, messages in fields
    )


def _read_password(*, password_stdin: bool) -> str:
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise CommandFailed(_("standard input holds no password"))
        return password
    if not sys.stdin.isatty():
        raise WrongUsage(_("no terminal to ask for the password: give --password-stdin"))
    while True:
        typed: str = typer.prompt(_("Password"), hide_input=True)
        if typer.prompt(_("Repeat it"), hide_input=True) == typed:
            return typed
        typer.echo(_("The two are not the same; try again."), err=True)


def _find_user(login: str) -> User:
    from matou.portal.accounts.services import find_user_by_login

    user = find_user_by_login(login)
    if user is None:
        raise CommandFailed(_("there is no user {name}; see 'matou admin list-users'").format(name=login))
    return user


def _administrator() -> User:
    """Return whoever is noted as having made what commands make: root, or another administrator."""
    from matou.portal.accounts.models import User

    administrators = User.objects.filter(is_admin=True, is_active=True, is_bot=False)
    found = administrators.filter(username__iexact="root").first() or administrators.order_by("pk").first()
    if found is None:
        raise CommandFailed(_("there is no administrator; start 'matou serve' once"))
    return found


def _ensure_namespace(components: Sequence[str], root: User, visibility: VisibilityName) -> Namespace:
    """Return the namespace of a path; make the groups of it that are missing."""
    from matou.portal.namespaces import services
    from matou.portal.namespaces.models import Namespace

    namespace: Namespace | None = None
    for count, name in enumerate(components, start=1):
        full_path = "/".join(components[:count]).lower()
        found = Namespace.objects.filter(route__path=full_path).first()
        namespace = found or services.create_group(
            creator=root, name=name, path=name, parent=namespace, visibility=visibility.value
        )
    if namespace is None:
        raise ValueError("a namespace has at least one component")
    return namespace


def _find_place(path: str) -> Namespace | Project:
    from matou.portal.namespaces.services import find_group_by_path, find_project_by_path

    place = find_project_by_path(path.strip("/")) or find_group_by_path(path.strip("/"))
    if place is None:
        raise CommandFailed(_("there is no group or project {path}").format(path=path))
    return place


def _print_rows(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    if not rows:
        return
    table = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
