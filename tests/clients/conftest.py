"""One installation for all clients, with people, tokens and projects as a small team has them."""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers.matou_serve import Administrator, MatouServe, running

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "tide-table-4711"
DEVELOPER, REPORTER, MAINTAINER = 30, 20, 40


@dataclass(frozen=True)
class Login:
    """A name and what proves it."""

    user: str
    secret: str


@dataclass(frozen=True)
class Team:
    """Who is there.

    Attributes:
        project: private; olga maintains it, dora develops it, rita may only read, sam is no member.
        closed: a project of theirs whose container registry is disabled.
        logins: of dora and of the project, by the kind of credential; each may push and pull.
        reader: a deploy token that may only pull.
    """

    project: str
    closed: str
    logins: dict[str, Login]
    maintainer: Login
    reporter: Login
    stranger: Login
    reader: Login


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A new directory with a name as short as podman wants it (50 characters with what it appends)."""
    with tempfile.TemporaryDirectory(prefix="m") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MatouServe]:
    with running(tmp_path_factory.mktemp("serve") / "home") as started:
        yield started


@pytest.fixture(scope="session")
def administrator(server: MatouServe) -> Iterator[Administrator]:
    caller = Administrator(server)
    yield caller
    caller.close()


@pytest.fixture(scope="session")
def team(server: MatouServe, administrator: Administrator) -> Team:
    ids = {}
    for name in ("olga", "dora", "rita", "sam"):
        server.matou("admin", "create-user", name, "--password-stdin", stdin=PASSWORD)
        ids[name] = administrator.ask("GET", f"/users?username={name}")[0]["id"]
    for path in ("harbour/ship", "harbour/closed"):
        server.matou("admin", "create-project", path, "--visibility", "private")
        project = f"/projects/{path.replace('/', '%2F')}"
        for name, level in (("olga", MAINTAINER), ("dora", DEVELOPER), ("rita", REPORTER)):
            administrator.ask("POST", f"{project}/members", user_id=ids[name], access_level=level)
    administrator.ask("PUT", "/projects/harbour%2Fclosed", container_registry_access_level="disabled")
    scopes = ("--scope", "read_registry", "--scope", "write_registry")
    token = server.matou("admin", "create-token", "dora", *scopes)
    expires = (dt.datetime.now(dt.UTC) + dt.timedelta(days=30)).isoformat()
    both = administrator.ask(
        "POST",
        "/projects/harbour%2Fship/deploy_tokens",
        name="ci",
        scopes=["read_registry", "write_registry"],
        expires_at=expires,
    )
    reader = administrator.ask(
        "POST", "/projects/harbour%2Fship/deploy_tokens", name="k8s", scopes=["read_registry"], expires_at=expires
    )
    return Team(
        project="harbour/ship",
        closed="harbour/closed",
        logins={
            "password": Login("dora", PASSWORD),
            "token": Login("dora", token),
            "deploy token": Login(both["username"], both["token"]),
        },
        maintainer=Login("olga", PASSWORD),
        reporter=Login("rita", PASSWORD),
        stranger=Login("sam", PASSWORD),
        reader=Login(reader["username"], reader["token"]),
    )
