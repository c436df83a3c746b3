"""What people are told of a Google Cloud Storage that cannot be used."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from matou.cli.application import run
from matou.registry.access import STEPS
from tests.integration.hub import Hub
from tests.registry_http.content import blob
from tests.servers.gcs import BUCKET, GcsServer, running_gcs, section, variables
from tests.servers.matou_registry import running_registry
from tests.servers.ports import free_port
from tests.servers.program import refusal
from tests.unit.cli.shell import Ended

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsServer]:
    with running_gcs(tmp_path_factory.mktemp("gcs")) as server:
        yield server


@pytest.fixture
def server(running: GcsServer, monkeypatch: pytest.MonkeyPatch) -> GcsServer:
    running.front.reset()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.url)
    monkeypatch.setenv("LANGUAGE", "en")
    return running


def configured(folder: Path, server: GcsServer, **given: Any) -> str:
    gcs = section(server, **given)
    http = {"addr": f"127.0.0.1:{free_port()}", "secret": "s"}
    path = folder / "config.yml"
    path.write_text(yaml.safe_dump({"version": 0.1, "storage": {"gcs": gcs}, "http": http}))
    return str(path)


def checked(configuration: str, capture: pytest.CaptureFixture[str]) -> Ended:
    status = run(["storage", "check-access", configuration])
    return Ended(status, *capture.readouterr())


def test_a_good_storage(server: GcsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = checked(configured(tmp_path, server), capsys)
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [f"{step}: ok" for step in STEPS]
    assert server.names() == []


@pytest.mark.parametrize(
    ("permission", "step"),
    [
        ("storage.objects.create", "write an object"),
        ("storage.objects.get", "HEAD of an object"),
        ("storage.objects.list", "list objects"),
        ("storage.objects.delete", "delete objects"),
    ],
)
def test_a_right_that_is_missing(
    server: GcsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], permission: str, step: str
) -> None:
    server.front.denied.add(permission)
    done = checked(configured(tmp_path, server), capsys)
    assert done.status == 1
    (line,) = [line for line in (done.out + done.err).splitlines() if line.startswith(f"{step}: ")]
    assert f"lacks {permission} on the bucket {BUCKET}: grant it the role Storage Object User" in line


def test_a_bucket_that_is_missing(server: GcsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = checked(configured(tmp_path, server, bucket="nobodys"), capsys)
    assert done.status == 1
    assert "write an object: the bucket nobodys does not exist: look at storage.gcs.bucket" in done.out + done.err


def test_a_clock_that_is_wrong(server: GcsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.accounts.clock = -7200
    done = checked(configured(tmp_path, server), capsys)
    assert done.status == 1
    assert "this machine's clock is wrong: synchronize it (NTP)" in done.out + done.err


def test_a_registry_that_cannot_start_says_why(server: GcsServer, tmp_path: Path) -> None:
    other = server.accounts.add("other@matou-tests.iam.gserviceaccount.com")
    key = server.accounts.key_file(other, f"{server.url}/token")
    del server.accounts.known[other.email]
    file = tmp_path / "key.json"
    line = refusal(configured(tmp_path, server, keyfile=str(file)), **variables(server))
    assert f"storage.gcs.keyfile ({file}) cannot be read: No such file or directory" in line
    file.write_text(json.dumps(key))
    line = refusal(configured(tmp_path, server, keyfile=str(file)), **variables(server))
    assert "account not found" in line
    assert f"the account of storage.gcs.keyfile ({file}) was deleted" in line
    line = refusal(configured(tmp_path, server, bucket="nobodys"), **variables(server))
    assert "the bucket nobodys does not exist" in line


def test_a_right_that_is_taken_away_is_no_success(server: GcsServer, tmp_path: Path) -> None:
    sections = {"storage": {"gcs": section(server)}}
    with (
        running_registry(tmp_path, sections, 1, variables(server)) as registry,
        contextlib.closing(Hub(registry.url)) as hub,
    ):
        server.front.denied.add("storage.objects.create")
        answer = hub.ask("POST", "/v2/team/app/blobs/uploads/")
        assert answer.status_code == 503
        assert "storage.objects.create" not in answer.text
        server.front.reset()
        hub.push_blob("team/app", blob())
        assert registry.tracebacks() == []
