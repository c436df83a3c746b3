"""Every operation with every kind of bad input: refused or harmless, never a fault, always JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from django.db import transaction

from matou.portal.api.routes import api as routes
from tests.unit.portal.api.test_permissions import OPERATIONS, Scene

if TYPE_CHECKING:
    from tests.unit.portal.api.conftest import Api
    from tests.unit.portal.api.test_permissions import Operation
    from tests.unit.portal.conftest import Tree

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
VALUES: list[Any] = [
    None, "", "\u0000", "x" * 300, "x" * 100_000, "\u202e\u7801\U0001f6a2", "../%s{0.__class__}'", -1, 0, 2**63, 2**200,
    1.5, True, [], [[None]], [-1, 2**70], ["x" * 300], {"a": {"b": 1}}, "10000-01-01", "9999-12-31",
    "0001-01-01T00:00:00+23:59",
]  # fmt: skip
QUERIES = ["", "\u0000", "x" * 300, "\u7801", "-1", str(2**63), "1,,x", "2026-02-30"]
BODIES = [
    (JSON, b"{"),
    (JSON, b"[1]"),
    (JSON, b'{"name": "\xff"}'),
    (JSON, b'{"name": "\\ud800"}'),
    (JSON, b"[" * 50_000),
    (JSON, b'{"a":' * 40 + b"1" + b"}" * 40),
    (JSON, b'{"page": ' + b"9" * 5000 + b"}"),
    (JSON, b'{"name": "' + b"x" * (2 << 20) + b'"}'),
    (FORM, b"&".join(b"a%d=1" % number for number in range(2000))),
    (FORM, b"name[a][b]=1&name[a]=2&scopes[]=1&scopes[x]=2"),
    (FORM, b"name=%ff%fe&path=%00"),
    ("multipart/form-data; boundary=X", b"rubbish"),
    (
        "multipart/form-data; boundary=X",
        b'--X\r\nContent-Disposition: form-data; name="name"; filename="a"\r\n\r\nx\r\n--X--\r\n',
    ),
    ("multipart/form-data", b"x"),
    ("text/plain", b"hello"),
    ("application/json; charset=utf-16", b'{"name": "x"}'),
]
SEGMENTS = [
    "0", "-1", "9" * 19, "9" * 400, "%00", "%ff", "..%2f..", "a%2Fb%2Fc", "%2F", "%252F", "x" * 3000, "%E7%A0%81", "'",
    "null", "self", "1e3", "%20", "quay%2F", "%2Fquay", "QUAY", "٣",
]  # fmt: skip


@pytest.fixture
def scene(tree: Tree) -> Scene:
    return Scene(tree)


def parameters(operation: Operation) -> list[str]:
    """Return the names of an operation's arguments."""
    document = routes.get_openapi_schema(path_prefix="")
    details = document["paths"][operation.path][operation.method.lower()]
    names = [parameter["name"] for parameter in details["parameters"] if parameter["in"] == "query"]
    if "requestBody" in details:
        schema = details["requestBody"]["content"][JSON]["schema"]
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
        names += schema["properties"]
    return names


class Attack:
    """Sends requests as an administrator, whom nothing stops early, each in a transaction that is undone."""

    def __init__(self, api: Api, scene: Scene) -> None:
        self._api = api
        self._headers = {"PRIVATE-TOKEN": api.secret(scene.callers[60], ["api", "sudo"])}
        self.sent = 0

    def send(self, method: str, target: str, body: bytes = b"", media_type: str = JSON) -> None:
        self.sent += 1
        with transaction.atomic():
            answer = self._api.send(method, target, self._headers, body, media_type)
            transaction.set_rollback(True)
        said = (method, target[:200], body[:200], media_type, answer.status, answer.content[:500])
        assert answer.status < 500, said
        assert answer.status == 204 or answer.json is not None, said
        if answer.status >= 400:
            assert answer.json.keys() & {"error", "message"}, said
            assert b"Traceback" not in answer.content
            assert b"pydantic" not in answer.content
            assert len(answer.content) < 4096, said


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
def test_bad_input(api: Api, scene: Scene, operation: Operation) -> None:
    attack = Attack(api, scene)
    path = scene.fill(operation.path)
    good = {name: str(scene.newcomer.pk) if value == "{newcomer}" else value for name, value in operation.body.items()}
    # What every operation takes is read in one place: one operation shows it.
    common = ["private_token", "sudo", "access_token", "unknown"] if operation.path == "/version" else []
    for name in [*parameters(operation), *common]:
        for value in VALUES:
            attack.send(operation.method, path, json.dumps(good | {name: value}).encode())
        for text in QUERIES:
            attack.send(operation.method, f"{path}?{name}={quote(text)}")
    for name in parameters(operation):
        attack.send(operation.method, f"{path}?{name}[]=1&{name}[][a]=1")
        attack.send(operation.method, f"{path}?{name}[a]=1&{name}=1")
    for media_type, body in BODIES:
        attack.send(operation.method, path, body, media_type)
    for part in [part for part in operation.path.split("/") if part.startswith("{")]:
        for segment in SEGMENTS:
            attack.send(operation.method, scene.fill(operation.path.replace(part, segment)), json.dumps(good).encode())
    for query in ("%", "a[b[c]=1", "=1", "a" + "[x]" * 100 + "=1", "&&&", "%ff=%ff", "per_page=0", "page=" + "9" * 30):
        attack.send(operation.method, f"{path}?{query}")
    assert attack.sent > 20


def test_unknown_paths_and_methods(api: Api, scene: Scene) -> None:
    attack = Attack(api, scene)
    for target in ("/", "/absent", "/projects/", "/projects/1/absent", "//projects", "/%2e%2e/", "/projects/%2F/%2F"):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            attack.send(method, target)
    refused = api.send("PATCH", "/user")
    assert (refused.status, refused.json, refused.headers["Allow"]) == (405, {"error": "405 Not Allowed"}, "GET")


@pytest.mark.parametrize("language", ["zh-hans", "de", "en"])
def test_errors_are_in_english(api: Api, tree: Tree, language: str) -> None:
    admin = tree.user(is_admin=True)
    headers = {"PRIVATE-TOKEN": api.secret(admin), "Accept-Language": language}
    body = b'{"username": "new", "name": "N", "email": "n@example.com", "password": "12345"}'
    answer = api.send("POST", "/users", headers, body)
    assert answer.status == 400
    assert all(text.isascii() for text in answer.json["message"]["password"])
