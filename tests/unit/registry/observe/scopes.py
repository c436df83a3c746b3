"""What the endpoint gets from the server, without a server."""

from __future__ import annotations


class FakeHeaders(dict[str, str]):
    def get_all(self, name: str) -> list[str]:
        return [self[name]] if name in self else []


class FakeScope:
    def __init__(
        self,
        headers: dict[str, str] | None = None,
        *,
        client: str = "192.0.2.7:40000",
        query_string: str = "",
        method: str = "GET",
        path: str = "/v2/",
        authority: str | None = None,
    ) -> None:
        self.headers = FakeHeaders(headers or {})
        self.client = client
        self.server = "192.0.2.1:5000"
        self.query_string = query_string
        self.http_version = "1.1"
        self.method = method
        self.path = path
        self.authority = authority
        self.scheme = "http"
