from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

from matou.registry.http.message import Request
from matou.registry.observe.current_request import CurrentRequest, current_fields
from tests.unit.registry.observe.scopes import FakeHeaders

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def nothing() -> AsyncIterator[bytes]:
    for piece in (b"",):
        yield piece


def request(number: int = 1, path: str = "/v2/a/b/manifests/latest", query: str = "", **headers: str) -> Request:
    named = FakeHeaders({name.replace("_", "-"): value for name, value in headers.items()})
    return Request("GET", path, query, named, "http", nothing(), f"id-{number}")


def fields_of(made: Request, prefix: str = "") -> dict[str, Any]:
    def enter() -> dict[str, Any]:
        CurrentRequest(made, "192.0.2.7", prefix)
        return current_fields()

    return contextvars.copy_context().run(enter)


def test_fields() -> None:
    made = request(query="_state=secret&n=1", host="r.example", user_agent="curl", authorization="Bearer secret")
    assert fields_of(made) == {
        "http.request.id": "id-1",
        "http.request.method": "GET",
        "http.request.uri": "/v2/a/b/manifests/latest?_state=REDACTED&n=1",
        "http.request.host": "r.example",
        "http.request.remoteaddr": "192.0.2.7",
        "http.request.useragent": "curl",
        "vars.name": "a/b",
        "vars.reference": "latest",
    }


def test_prefix_and_forwarded_address() -> None:
    fields = fields_of(request(path="/mirror/v2/a/tags/list", x_forwarded_for="203.0.113.9, 10.0.0.1"), "/mirror")
    assert (fields["vars.name"], fields["http.request.remoteaddr"]) == ("a", "203.0.113.9")
    assert "vars.reference" not in fields


def test_outside_of_requests() -> None:
    assert contextvars.copy_context().run(current_fields) == {}


def test_requests_side_by_side_and_what_outlives_them() -> None:
    later: list[asyncio.Task[dict[str, Any]]] = []

    async def outlive(ended: asyncio.Event) -> dict[str, Any]:
        await ended.wait()
        return current_fields()

    async def serve(number: int) -> str:
        current = CurrentRequest(request(number), "192.0.2.7")
        ended = asyncio.Event()
        later.append(asyncio.create_task(outlive(ended)))
        await asyncio.sleep(0)
        seen: str = current_fields()["http.request.id"]
        current.end()
        ended.set()
        return seen

    async def run() -> None:
        assert await asyncio.gather(*(serve(number) for number in range(20))) == [f"id-{n}" for n in range(20)]
        assert await asyncio.gather(*later) == [{}] * 20

    asyncio.run(run())
