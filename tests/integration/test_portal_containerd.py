"""containerd, which asks for tokens with OAuth2's POST first, against a whole installation."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.servers.matou_serve import ROOT_PASSWORD, MatouServe, running
from tests.servers.oci_layout import write_layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MatouServe]:
    directory = tmp_path_factory.mktemp("containerd")
    with running(directory / "home", workers=1) as started:
        started.matou("admin", "create-project", "team/app")
        write_layout(directory / "layout", "latest", "containerd")
        push = ["skopeo", "copy", "--all", "--dest-tls-verify=false", "--dest-creds", f"root:{ROOT_PASSWORD}"]
        target = f"docker://{started.registry}/team/app:latest"
        subprocess.run([*push, f"oci:{directory / 'layout'}:latest", target], check=True, capture_output=True)
        yield started


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("daemon")
    socket = directory / "containerd.sock"
    places = ["--root", str(directory / "root"), "--state", str(directory / "state"), "--address", str(socket)]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(["containerd", "--config", "/dev/null", *places], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(["ctr", "-a", socket, "version"], capture_output=True, check=False).returncode != 0:
            assert process.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield socket
    finally:
        process.terminate()
        process.wait(PATIENCE)


def fetch(daemon: Path, server: MatouServe, login: str | None, image: str = "team/app") -> tuple[int, str]:
    """Pull an image; return the status and what was said, with the lines of the portal's log about it."""
    seen = len(server.log.read_text())
    command = ["ctr", "-a", str(daemon), "content", "fetch", "--plain-http"]
    command += ["--user", login] if login else []
    done = subprocess.run(
        [*command, f"{server.registry}/{image}:latest"], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    asked = [line for line in server.log.read_text()[seen:].splitlines() if "/jwt/auth" in line]
    return done.returncode, done.stdout + done.stderr + "\n".join(asked)


def test_pull_with_a_token(daemon: Path, server: MatouServe) -> None:
    token = server.matou("admin", "create-token", "root", "--scope", "read_registry")
    status, said = fetch(daemon, server, f"root:{token}")
    assert status == 0, said
    assert "method=POST" in said
    assert "method=GET" not in said


def test_pull_with_a_password(daemon: Path, server: MatouServe) -> None:
    status, said = fetch(daemon, server, f"root:{ROOT_PASSWORD}")
    assert status == 0, said


def test_wrong_token(daemon: Path, server: MatouServe) -> None:
    status, said = fetch(daemon, server, "root:glpat-wrong")
    assert status != 0
    assert "401 Unauthorized" in said


def test_a_private_project_without_a_login(daemon: Path, server: MatouServe) -> None:
    status, said = fetch(daemon, server, None)
    assert status != 0
    assert "403 Forbidden" in said
