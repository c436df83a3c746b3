"""The API, asked as somebody."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from matou.portal.tokens.services import create_access_token

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.http import HttpResponse

    from matou.portal.accounts.models import User

PREFIX = "/api/v4"


class Answer:
    """An answer: its status, headers and document."""

    def __init__(self, response: HttpResponse) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.content = bytes(response.content)

    @property
    def json(self) -> Any:
        assert self.headers["Content-Type"].split(";")[0] == "application/json", self.content
        return json.loads(self.content)

    @property
    def ids(self) -> list[int]:
        return [item["id"] for item in self.json]


class Api:
    """Sends requests as HTTP servers hand them on: with the path as the client sent it."""

    def __init__(self) -> None:
        self._client = Client(raise_request_exception=False)
        self._secrets: dict[int, str] = {}

    def secret(self, user: User, scopes: Iterable[str] = ("api",)) -> str:
        """Return the secret of a new token."""
        return create_access_token(user=user, name="test", scopes=scopes, expires_at=None)[1]

    def forget(self) -> None:
        """Make new tokens from now on: the database has been rolled back."""
        self._secrets.clear()

    def ask(self, method: str, path: str, user: User | None = None, /, **body: Any) -> Answer:
        """Ask as a user, or as nobody; arguments go where clients put them."""
        headers = {}
        if user is not None:
            if user.pk not in self._secrets:
                self._secrets[user.pk] = self.secret(user)
            headers["PRIVATE-TOKEN"] = self._secrets[user.pk]
        if method in {"GET", "DELETE"} and body:
            return self.send(method, f"{path}?{urlencode(body, doseq=True)}", headers)
        return self.send(method, path, headers, json.dumps(body).encode() if body else b"")

    def send(
        self,
        method: str,
        target: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        media_type: str = "application/json",
    ) -> Answer:
        """Send a request as it is."""
        response: Any = self._client.generic(
            method,
            PREFIX + target,
            body,
            content_type=media_type,
            headers=headers or {},
            REQUEST_URI=PREFIX + target,
        )
        return Answer(response)


@pytest.fixture
def api(db: None) -> Api:
    del db
    return Api()
