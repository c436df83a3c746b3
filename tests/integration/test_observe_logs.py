"""What a running registry logs: each formatter, the access log, and what must never be in a line."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.servers.matou_registry import MatouRegistry, running_registry
from tests.unit.registry.observe.test_access_log import COMBINED
from tests.unit.registry.observe.test_rendering import parse

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "hunter2-is-secret"


def ask(registry: MatouRegistry, method: str, path: str, **headers: str) -> httpx.Response:
    return httpx.request(method, registry.url + path, headers=headers, timeout=30, trust_env=False)


def entries(text: str, formatter: str) -> list[dict[str, Any]]:
    if formatter != "text":
        return [json.loads(line) for line in text.splitlines()]
    return [
        {key: value[1:-1].replace('\\"', '"') if value.startswith('"') else value for key, value in parse(line).items()}
        for line in text.splitlines()
    ]


@pytest.mark.parametrize("formatter", ["text", "json", "logstash"])
def test_formatters(tmp_path: Path, formatter: str) -> None:
    log = {"formatter": formatter, "level": "debug", "fields": {"service": "registry", "environment": "a b"}}
    with running_registry(tmp_path, {"log": log}) as registry:
        answer = ask(registry, "GET", "/v2/UPPER/tags/list?n=1", user_agent="x")
        unknown = ask(registry, "GET", "/v2/a/tags/list", **{"X-Forwarded-For": "203.0.113.9, 10.0.0.1"})
    assert (answer.status_code, unknown.status_code) == (400, 404)
    lines = entries(registry.log.read_text(), formatter)
    message = "message" if formatter == "logstash" else "msg"
    for line in lines:
        assert line[message]
        assert line["level"] in {"debug", "info", "warning"}
        assert re.fullmatch(
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["@timestamp" if message == "message" else "time"]
        )
        assert (line["service"], line["environment"]) == ("registry", "a b")
    messages = [line[message] for line in lines]
    assert f"listening on {registry.address}, workers: 2" in messages
    assert "worker stopped" in messages
    assert messages[-1] == "stopped"
    (refused,) = [line for line in lines if line.get("http.request.id") == answer.headers["x-request-id"]]
    assert refused["level"] == "info"
    assert refused["err.code"] == "NAME_INVALID"
    assert str(refused["http.response.status"]) == "400"
    assert refused["http.request.uri"] == "/v2/UPPER/tags/list?n=1"
    assert refused["http.request.host"] == registry.address
    (missing,) = [line for line in lines if line.get("http.request.id") == unknown.headers["x-request-id"]]
    assert (missing["level"], missing["vars.name"]) == ("debug", "a")
    assert missing["http.request.remoteaddr"] == "203.0.113.9"


def test_access_log(tmp_path: Path) -> None:
    with running_registry(tmp_path) as registry:
        for number in range(20):
            ask(registry, "GET", f"/v2/?n={number}", **{"User-Agent": 'a"b', "Referer": "http://x/"})
    lines = registry.access_log.read_text().splitlines(keepends=True)
    found = [COMBINED.fullmatch(line) for line in lines]
    assert all(found), lines
    ours = [line.groups() for line in found if line and line[4].startswith("/v2/?n=")]
    assert sorted(int(line[3].removeprefix("/v2/?n=")) for line in ours) == list(range(20))
    for address, _, method, _, version, status, size, referrer, agent in ours:
        assert (address, method, version, status, size) == ("127.0.0.1", "GET", "1.1", "200", "2")
        assert (referrer, agent) == ("http://x/", 'a\\"b')


def test_access_log_in_json(tmp_path: Path) -> None:
    with running_registry(tmp_path, {"log": {"accesslog": {"formatter": "json"}}}) as registry:
        answer = ask(registry, "GET", "/v2/")
    lines = [json.loads(line) for line in registry.access_log.read_text().splitlines()]
    (ours,) = [line for line in lines if line["correlation_id"] == answer.headers["x-request-id"]]
    assert (ours["method"], ours["uri"], ours["status"], ours["written_bytes"]) == ("GET", "/v2/", 200, 2)


def test_access_log_disabled(tmp_path: Path) -> None:
    with running_registry(tmp_path, {"log": {"accesslog": {"disabled": True}}}) as registry:
        assert ask(registry, "GET", "/v2/").status_code == 200
    assert registry.access_log.read_bytes() == b""


def test_no_secrets(tmp_path: Path) -> None:
    log = {"level": "debug", "reportcaller": True}
    with running_registry(tmp_path, {"log": log, "auth": {"htpasswd": _htpasswd(tmp_path)}}) as registry:
        ask(registry, "GET", "/v2/", Authorization=f"Bearer {SECRET}")
        ask(registry, "GET", f"/v2/a/blobs/uploads/1?_state={SECRET}", Authorization=f"Basic {SECRET}")
        ask(registry, "PUT", f"/v2/a/blobs/uploads/1?%5Fstate={SECRET}&digest=x")
        refused = httpx.get(f"{registry.url}/v2/", auth=("alice", SECRET), timeout=30, trust_env=False)
    assert refused.status_code == 401
    log_text, access_text = registry.log.read_text(), registry.access_log.read_text()
    assert SECRET not in log_text
    assert SECRET not in access_text
    assert "_state=REDACTED" in access_text
    warnings = [
        line for line in entries(log_text, "text") if line.get("http.request.id") == refused.headers["x-request-id"]
    ]
    assert [line["level"] for line in warnings] == ["warning"]
    assert "error authorizing context" in warnings[0]["msg"]


def _htpasswd(folder: Path) -> dict[str, str]:
    path = folder / "htpasswd"
    # bcrypt of "another", cost 4.
    path.write_text("alice:$2b$04$abcdefghijklmnopqrstuu5Lo2g67CiD3M4RpN1BmBb4Crp5w7dbK\n")
    return {"realm": "test", "path": str(path)}


def test_a_worker_that_dies_is_logged(tmp_path: Path) -> None:
    with running_registry(tmp_path, {"log": {"formatter": "json"}}) as registry:
        os.kill(registry.worker_pids()[0], signal.SIGKILL)
        deadline = time.monotonic() + 30
        while "SIGKILL" not in registry.log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    messages = [json.loads(line)["msg"] for line in registry.log.read_text().splitlines()]
    assert any("was ended by SIGKILL; replacing it" in message for message in messages)
