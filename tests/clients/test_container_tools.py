"""skopeo, podman, buildah and a whole installation: what a team does every day, and what it is told if it may not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.clients.programs import Buildah, Client, ClientError, Podman, Skopeo
from tests.servers.oci_layout import PLATFORMS, write_layout

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clients.conftest import Team
    from tests.servers.matou_serve import MatouServe

CREDENTIALS = ("password", "token", "deploy token")


@pytest.fixture(params=[Skopeo, Podman, Buildah], ids=["skopeo", "podman", "buildah"])
def client(request: pytest.FixtureRequest, short_path: Path, server: MatouServe) -> Client:
    made: Client = request.param(short_path / "client", server.registry)
    return made


@pytest.fixture
def skopeo(tmp_path: Path, server: MatouServe) -> Skopeo:
    return Skopeo(tmp_path / "skopeo", server.registry)


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_login_push_pull(client: Client, credential: str, team: Team) -> None:
    login = team.logins[credential]
    assert "Login Succeeded" in client.login(login.user, login.secret)
    repository = f"{team.project}/{type(client).__name__.lower()}"
    reference = client.reference(repository, credential.replace(" ", "-"))
    client.push(reference)
    client.pull(reference)


def test_two_platforms_copied_all(skopeo: Skopeo, tmp_path: Path, team: Team) -> None:
    skopeo.login(team.logins["token"].user, team.logins["token"].secret)
    digest = write_layout(tmp_path / "layout", "two", "two platforms")
    first = skopeo.reference(f"{team.project}/first", "two")
    second = skopeo.reference(f"{team.project}/second", "two")
    skopeo.push_layout(tmp_path / "layout", "two", first)
    skopeo.copy(first, second)
    skopeo.pull_layout(second, tmp_path / "back")
    pushed, pulled = ((tmp_path / name / "blobs" / "sha256") for name in ("layout", "back"))
    assert {path.name: path.read_bytes() for path in pulled.iterdir()} == {
        path.name: path.read_bytes() for path in pushed.iterdir()
    }
    assert json.loads((tmp_path / "back" / "index.json").read_text())["manifests"][0]["digest"] == digest
    assert len(json.loads(skopeo.inspect(second))["manifests"]) == len(PLATFORMS)


def test_tags_and_delete(skopeo: Skopeo, team: Team) -> None:
    skopeo.login(team.maintainer.user, team.maintainer.secret)
    repository = f"{team.project}/gone"
    reference = skopeo.reference(repository, "old")
    skopeo.push(reference)
    skopeo.push(skopeo.reference(repository, "new"))
    assert json.loads(skopeo.list_tags(repository))["Tags"] == ["new", "old"]
    skopeo.delete(reference)
    assert json.loads(skopeo.list_tags(repository))["Tags"] == ["new"]
    with pytest.raises(ClientError, match="manifest unknown"):
        skopeo.inspect(reference)


def test_developer_may_not_delete(skopeo: Skopeo, team: Team) -> None:
    skopeo.login(team.logins["password"].user, team.logins["password"].secret)
    reference = skopeo.reference(f"{team.project}/kept", "old")
    skopeo.push(reference)
    with pytest.raises(ClientError, match="denied"):
        skopeo.delete(reference)
    skopeo.pull(reference)


def test_reporter_pulls_but_does_not_push(client: Client, skopeo: Skopeo, team: Team) -> None:
    skopeo.login(team.maintainer.user, team.maintainer.secret)
    reference = client.reference(f"{team.project}/shared", "v1")
    skopeo.push(reference)
    client.login(team.reporter.user, team.reporter.secret)
    client.pull(reference)
    with pytest.raises(ClientError, match="denied"):
        client.push(reference)


def test_deploy_token_that_only_reads(client: Client, skopeo: Skopeo, team: Team) -> None:
    skopeo.login(team.maintainer.user, team.maintainer.secret)
    reference = client.reference(f"{team.project}/deployed", "v1")
    skopeo.push(reference)
    client.login(team.reader.user, team.reader.secret)
    client.pull(reference)
    with pytest.raises(ClientError, match="denied"):
        client.push(reference)


def test_wrong_password(client: Client, team: Team) -> None:
    with pytest.raises(ClientError, match=r"invalid username/password"):
        client.login(team.maintainer.user, "not the password")


def test_stranger_sees_nothing(client: Client, skopeo: Skopeo, team: Team) -> None:
    skopeo.login(team.maintainer.user, team.maintainer.secret)
    reference = client.reference(f"{team.project}/secret", "v1")
    skopeo.push(reference)
    client.login(team.stranger.user, team.stranger.secret)
    with pytest.raises(ClientError, match="denied"):
        client.pull(reference)
    with pytest.raises(ClientError, match="denied"):
        client.push(reference)


def test_unknown_project(client: Client, team: Team) -> None:
    login = team.logins["password"]
    client.login(login.user, login.secret)
    with pytest.raises(ClientError, match="denied"):
        client.push(client.reference("harbour/nowhere", "v1"))
    with pytest.raises(ClientError, match="denied"):
        client.pull(client.reference("harbour/nowhere", "v1"))


def test_disabled_registry(client: Client, team: Team) -> None:
    client.login(team.maintainer.user, team.maintainer.secret)
    with pytest.raises(ClientError, match="denied"):
        client.push(client.reference(team.closed, "v1"))


def test_nobody_logged_in(client: Client, team: Team) -> None:
    with pytest.raises(ClientError, match=r"403 \(Forbidden\)|access forbidden|denied"):
        client.pull(client.reference(f"{team.project}/secret", "v1"))
