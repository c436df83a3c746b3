"""Asking ``/jwt/auth`` as clients do, and reading what they get."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.test import Client
from joserfc import jwt

from matou.jwt.keyfiles import load_certificates
from matou.jwt.keyids import as_jwk, as_public_key, libtrust_fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVICE = "container_registry"


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: Any

    @property
    def claims(self) -> dict[str, Any]:
        return read(self.body["token"])

    @property
    def access(self) -> dict[str, list[str]]:
        """The actions granted, by the name of the resource."""
        return {entry["name"]: entry["actions"] for entry in self.claims["access"]}

    @property
    def error(self) -> tuple[str, str]:
        (error,) = self.body["errors"]
        return error["code"], error["message"]


def read(token: str) -> dict[str, Any]:
    """Verify a token with our key and return its claims."""
    key = as_public_key(load_certificates(settings.INSTALLATION.token_certificate)[0].public_key())
    found = jwt.decode(token, as_jwk(key), algorithms=["RS256"])
    assert found.header == {"typ": "JWT", "alg": "RS256", "kid": libtrust_fingerprint(key)}
    return dict(found.claims)


def ask(
    *scopes: str,
    login: tuple[str, str] | None = None,
    service: str = SERVICE,
    path: str = "/jwt/auth",
    **parameters: str | Sequence[str],
) -> Answer:
    """GET a token."""
    headers = {"Authorization": basic(*login)} if login else {}
    query = {"service": service, "scope": list(scopes)} | parameters
    response = Client().get(path, query_params=query, headers=headers)
    is_json = response.headers["Content-Type"] == "application/json"
    return Answer(response.status_code, response.json() if is_json else response.content, response.headers)


def pull(name: str) -> str:
    return f"repository:{name}:pull"


def push(name: str) -> str:
    return f"repository:{name}:pull,push"


def everything(name: str) -> str:
    return f"repository:{name}:pull,push,delete,*"
