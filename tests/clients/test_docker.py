"""Docker itself, with a daemon of its own, against a whole installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.programs import ClientError, Docker, Skopeo, dockerd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.clients.conftest import Team
    from tests.servers.matou_serve import MatouServe


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, server: MatouServe) -> Iterator[Path]:
    with dockerd(tmp_path_factory.mktemp("docker") / "daemon", server.registry) as socket:
        yield socket


@pytest.fixture
def docker(tmp_path: Path, server: MatouServe, daemon: Path) -> Docker:
    return Docker(tmp_path / "docker", server.registry, daemon)


@pytest.mark.parametrize("credential", ["password", "token", "deploy token"])
def test_login_push_pull(docker: Docker, credential: str, team: Team) -> None:
    login = team.logins[credential]
    assert "Login Succeeded" in docker.login(login.user, login.secret)
    reference = docker.reference(f"{team.project}/docker", credential.replace(" ", "-"))
    docker.push(reference)
    docker.pull(reference)


def test_own_platform_of_an_index(docker: Docker, tmp_path: Path, team: Team) -> None:
    skopeo = Skopeo(tmp_path / "skopeo", docker.registry)
    login = team.logins["token"]
    skopeo.login(login.user, login.secret)
    reference = docker.reference(f"{team.project}/index", "two")
    skopeo.push(reference)
    docker.login(login.user, login.secret)
    docker.pull(reference)


def test_wrong_password(docker: Docker, team: Team) -> None:
    with pytest.raises(ClientError, match=r"unauthorized: HTTP Basic: Access denied"):
        docker.login(team.maintainer.user, "not the password")


def test_missing_right(docker: Docker, tmp_path: Path, team: Team) -> None:
    skopeo = Skopeo(tmp_path / "skopeo", docker.registry)
    skopeo.login(team.maintainer.user, team.maintainer.secret)
    reference = docker.reference(f"{team.project}/right", "v1")
    skopeo.push(reference)
    docker.login(team.reporter.user, team.reporter.secret)
    docker.pull(reference)
    with pytest.raises(ClientError, match="denied: requested access to the resource is denied"):
        docker.push(reference)


def test_stranger_sees_nothing(docker: Docker, team: Team) -> None:
    docker.login(team.stranger.user, team.stranger.secret)
    with pytest.raises(ClientError, match="denied"):
        docker.pull(docker.reference(f"{team.project}/right", "v1"))


def test_unknown_project(docker: Docker, team: Team) -> None:
    docker.login(team.maintainer.user, team.maintainer.secret)
    with pytest.raises(ClientError, match="denied"):
        docker.push(docker.reference("harbour/nowhere", "v1"))


def test_disabled_registry(docker: Docker, team: Team) -> None:
    docker.login(team.maintainer.user, team.maintainer.secret)
    with pytest.raises(ClientError, match="denied"):
        docker.push(docker.reference(team.closed, "v1"))
