"""The commands of the quick start, run as they stand there, against a server that was just started.

Addresses are replaced by the test's, and the public image by one that is made here. Docker's and Podman's commands need
a base image from elsewhere; they are in ``tests/clients`` with images of our own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.servers.matou_serve import ROOT_PASSWORD, MatouServe, running
from tests.servers.oci_layout import write_layout
from tests.servers.program import MATOU
from tests.unit.architecture.checkout import ROOT
from tests.unit.architecture.markdown import SHELLS, fenced

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = ("docs/quick-start.md", "docs/zh/quick-start.md")
PROGRAMS = ("matou", "skopeo", "curl", "TOKEN=")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MatouServe]:
    with running(tmp_path / "home", workers=1) as server:
        yield server


def commands(page: str) -> list[str]:
    """Return the commands of a page's shell blocks, each with its continuation lines."""
    found = []
    for block in fenced((ROOT / page).read_text("utf-8")):
        if block.language in SHELLS:
            joined = re.sub(r"(\\|\|)\n\s*", lambda match: match[1].replace("\\", ""), block.content)
            found += [line for line in joined.splitlines() if line and not line.startswith("#")]
    return found


def test_both_pages_have_the_same_commands() -> None:
    english, chinese = ([line.partition(" #")[0].strip() for line in commands(page)] for page in PAGES)
    assert english == chinese


def test_the_commands_work(server: MatouServe, tmp_path: Path) -> None:
    index = write_layout(tmp_path / "image", "latest", "quick start")
    replaced = {
        "127.0.0.1:5000": server.registry,
        "http://127.0.0.1:8080": server.portal,
        "docker://docker.io/library/alpine:latest": f"oci:{tmp_path / 'image'}:latest",
        "skopeo login --tls-verify=false -u root": f"printf %s '{ROOT_PASSWORD}' | skopeo login --tls-verify=false "
        "--password-stdin -u root",
        "curl ": "curl --silent --show-error --fail-with-body ",
    }
    environment = server.environment | {
        "PATH": f"{MATOU.parent}:{os.environ['PATH']}",
        "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json"),
    }
    token = ""
    done = []
    for command in commands(PAGES[0]):
        if not command.startswith(PROGRAMS) and not command.startswith("echo "):
            continue
        if "/etc/docker" in command:
            continue  # the registry alone: tests/examples
        line = command
        for written, ours in replaced.items():
            line = line.replace(written, ours)
        if "namespace_id=" in line:
            line = re.sub(r"namespace_id=\d+", f"namespace_id={group_id(server, token)}", line)
        if line.startswith("TOKEN="):
            line = f'{line}; printf %s "$TOKEN"'
        ended = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            env=environment | {"TOKEN": token},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
        if command.startswith("TOKEN="):
            token = ended.stdout
            assert token
        done.append(command)
        if "inspect --raw" in command:
            assert len(json.loads(ended.stdout)["manifests"]) == 2
    assert index
    assert sum(command.startswith("curl") for command in done) == 4
    assert sum(command.startswith("skopeo") for command in done) >= 4
    assert any(" create-user " in command for command in done)


def group_id(server: MatouServe, token: str) -> int:
    """Return the id of the group that the page makes."""
    answer = httpx.get(
        f"{server.portal}/api/v4/groups/crew", headers={"PRIVATE-TOKEN": token}, timeout=30, trust_env=False
    )
    return int(answer.json()["id"])
