"""Each file of ``examples/installation`` does what its first lines say."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest
import yaml

from tests.servers.docker_registry import running_docker_registry
from tests.servers.matou_serve import ROOT_PASSWORD, MatouServe, running
from tests.servers.oci_layout import write_layout
from tests.unit.architecture.checkout import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLES = ROOT / "examples" / "installation"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MatouServe]:
    with running(tmp_path_factory.mktemp("installation") / "home", workers=1) as server:
        server.matou("admin", "create-project", "team/app", "--visibility", "private")
        yield server


def run(*command: str | Path, folder: Path, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program with credentials of its own; return how it ended."""
    return subprocess.run(
        command,
        env=os.environ | {"REGISTRY_AUTH_FILE": str(folder / "auth.json")} | variables,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def skopeo(*arguments: str, folder: Path, stdin: str = "") -> str:
    """Run skopeo; return what it printed."""
    done = run("skopeo", *arguments, folder=folder, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_in_the_list_and_says_what_it_shows() -> None:
    readme = (EXAMPLES.parent / "README.md").read_text("utf-8")
    for path in EXAMPLES.iterdir():
        assert "\n# Shows: " in path.read_text("utf-8"), path.name
        assert f"(installation/{path.name})" in readme, path.name


def test_behind_tls(tmp_path: Path) -> None:
    lines = (EXAMPLES / "behind-tls.env").read_text("utf-8").splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    server = MatouServe(tmp_path / "home")
    ours = {name: server.environment[name] for name in ("MATOU_HOME", "MATOU_PORTAL_ADDR", "MATOU_REGISTRY_ADDR")}
    server.environment |= example | ours
    try:
        server.start()
        refused = httpx.get(f"http://{server.registry}/v2/", trust_env=False)
        assert refused.headers["www-authenticate"] == (
            'Bearer realm="https://gitlab.example.com/jwt/auth",service="container_registry"'
        )
        scope = "repository:team/app:pull,push"
        server.matou("admin", "create-project", "team/app")
        answer = httpx.get(
            f"{server.portal}/jwt/auth",
            params={"service": "container_registry", "scope": scope},
            auth=("root", ROOT_PASSWORD),
            trust_env=False,
        )
        begun = httpx.post(
            f"http://{server.registry}/v2/team/app/blobs/uploads/",
            headers={"authorization": f"Bearer {answer.json()['token']}"},
            trust_env=False,
        )
        assert begun.headers["location"].startswith("https://registry.example.com/v2/team/app/blobs/uploads/")
    finally:
        server.stop()


@pytest.fixture
def docker_registry(server: MatouServe, tmp_path: Path) -> Iterator[str]:
    """Run Debian's docker-registry on the example; yield its address."""
    document = yaml.safe_load((EXAMPLES / "docker-registry.yml").read_text("utf-8"))
    document["auth"]["token"]["realm"] = f"{server.portal}/jwt/auth"
    document["auth"]["token"]["rootcertbundle"] = str(server.home / "keys" / "registry-token.crt")
    with running_docker_registry(tmp_path, tmp_path / "tree", document) as registry:
        yield registry.address


def test_docker_registry(docker_registry: str, tmp_path: Path) -> None:
    index = write_layout(tmp_path / "image", "latest", "another registry")
    image, theirs = f"oci:{tmp_path / 'image'}:latest", f"docker://{docker_registry}/team/app:1"
    login = ("login", "--tls-verify=false", "--username", "root", "--password-stdin", docker_registry)
    skopeo(*login, folder=tmp_path, stdin=ROOT_PASSWORD)
    skopeo("copy", "--all", "--dest-tls-verify=false", image, theirs, folder=tmp_path)
    found = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", theirs, folder=tmp_path))
    assert len(found["manifests"]) == 2
    assert index.startswith("sha256:")
    elsewhere = f"docker://{docker_registry}/nobody/nothing:1"
    refused = run("skopeo", "copy", "--dest-tls-verify=false", image, elsewhere, folder=tmp_path)
    assert refused.returncode != 0
    assert "denied" in refused.stderr or "unauthorized" in refused.stderr
    assert run("skopeo", *login, folder=tmp_path, stdin="wrong").returncode != 0


def test_ci_job(server: MatouServe, tmp_path: Path) -> None:
    write_layout(tmp_path / "image", "latest", "a job")
    server.matou("admin", "create-user", "developer", "--password-stdin", stdin="a-long-enough-passphrase\n")
    server.matou("admin", "add-member", "developer", "team/app", "--role", "developer")
    token = server.matou("admin", "create-token", "developer", "--scope", "api")
    variables = {
        "PORTAL": server.portal,
        "REGISTRY": server.registry,
        "PROJECT": "team/app",
        "TOKEN": token,
        "IMAGE": f"oci:{tmp_path / 'image'}:latest",
        "TAG": "from-ci",
    }
    done = run(EXAMPLES / "ci-job.sh", folder=tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    headers = {"PRIVATE-TOKEN": server.matou("admin", "create-token", "root", "--scope", "api")}
    tokens = httpx.get(
        f"{server.portal}/api/v4/projects/team%2Fapp/job_tokens", headers=headers, trust_env=False, timeout=30
    )
    assert tokens.json() == [], "the job's token has to end with it"
    pulled = f"docker://{server.registry}/team/app:from-ci"
    login = ("login", "--tls-verify=false", "--username", "root", "--password-stdin", server.registry)
    skopeo(*login, folder=tmp_path, stdin=ROOT_PASSWORD)
    assert len(json.loads(skopeo("inspect", "--raw", "--tls-verify=false", pulled, folder=tmp_path))["manifests"]) == 2
    server.matou("admin", "create-project", "team/other")
    elsewhere = run(EXAMPLES / "ci-job.sh", folder=tmp_path, **variables | {"PROJECT": "team/other"})
    assert elsewhere.returncode != 0
