"""An identity service with a catalogue, in front of the accounts of a Swift: versions 2 and 3.

Tokens are those of Swift's ``tempauth``, so what Keystone says can be used.

Source: OpenStack's Identity API v3, "Authentication and token management"; v2.0, "Authenticate".
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tests.servers.scripted_http import Answer, Asked

if TYPE_CHECKING:
    from collections.abc import Callable

USER, PASSWORD = "registry", "harbour-and-crane"
DOMAIN, DOMAIN_ID = "Shipping", "d0"
PROJECT, PROJECT_ID, PROJECT_DOMAIN, PROJECT_DOMAIN_ID = "images", "p0", "Projects", "d1"
TRUST = "t0"


class Refused(Exception):  # noqa: N818 -- what it is
    """A request that is answered with an error.

    Args:
        status: of HTTP.
        message: of Keystone.
    """

    def __init__(self, status: HTTPStatus, message: str = "The request you have made requires authentication.") -> None:
        super().__init__(message)
        self.answer = Answer(status, json.dumps({"error": {"code": status, "message": message}}).encode(), JSON)


JSON = {"Content-Type": "application/json"}


@dataclass
class Keystone:
    """An identity service: ``answer`` is the script of a ``ScriptedServer``.

    Attributes:
        token: issues a token of Swift.
        storage: URLs of the account by region and interface.
        lifetime: seconds that tokens are said to be good.
        asked: bodies of requests for tokens that were granted.
        failures: statuses that come before the next answers.
    """

    token: Callable[[], str]
    storage: dict[str, dict[str, str]]
    lifetime: float = 3600.0
    asked: list[dict[str, Any]] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)

    def answer(self, asked: Asked) -> Answer:
        """Answer a request."""
        if self.failures:
            return Answer(self.failures.pop(0))
        try:
            if (asked.method, asked.path) == ("POST", "/v3/auth/tokens"):
                return self._version_3(json.loads(asked.body))
            if (asked.method, asked.path) == ("POST", "/v2.0/tokens"):
                return self._version_2(json.loads(asked.body))
        except Refused as refused:
            return refused.answer
        return Refused(HTTPStatus.NOT_FOUND, "The resource could not be found.").answer

    @property
    def _expires(self) -> str:
        return (datetime.now(UTC) + timedelta(seconds=self.lifetime)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")

    def _version_3(self, body: dict[str, Any]) -> Answer:
        identity, scope = body["auth"]["identity"], body["auth"].get("scope")
        assert identity["methods"] == ["password"]
        user = identity["password"]["user"]
        if not user.get("domain"):
            raise Refused(HTTPStatus.BAD_REQUEST, "Expecting to find domain in user.")
        if user["domain"] not in ({"name": DOMAIN}, {"id": DOMAIN_ID}):
            raise Refused(HTTPStatus.UNAUTHORIZED)
        if (user["name"], user["password"]) != (USER, PASSWORD):
            raise Refused(HTTPStatus.UNAUTHORIZED)
        token: dict[str, Any] = {"methods": ["password"], "expires_at": self._expires, "issued_at": self._expires}
        token["user"] = {"id": "u0", "name": USER, "domain": {"id": DOMAIN_ID, "name": DOMAIN}}
        if scope not in (None, "unscoped"):
            self._verify_scope(scope)
            token["project"] = {
                "id": PROJECT_ID,
                "name": PROJECT,
                "domain": {"id": PROJECT_DOMAIN_ID, "name": PROJECT_DOMAIN},
            }
            token["catalog"] = self._catalogue_3()
        self.asked.append(body)
        return Answer(
            HTTPStatus.CREATED, json.dumps({"token": token}).encode(), {**JSON, "X-Subject-Token": self.token()}
        )

    def _verify_scope(self, scope: dict[str, Any]) -> None:
        known = (
            {"project": {"id": PROJECT_ID}},
            {"project": {"name": PROJECT, "domain": {"name": PROJECT_DOMAIN}}},
            {"project": {"name": PROJECT, "domain": {"id": PROJECT_DOMAIN_ID}}},
            {"OS-TRUST:trust": {"id": TRUST}},
        )
        if scope not in known:
            raise Refused(HTTPStatus.UNAUTHORIZED)

    def _catalogue_3(self) -> list[dict[str, Any]]:
        endpoints = [
            {"id": f"{region}-{interface}", "interface": interface, "region": region, "region_id": region, "url": url}
            for region, urls in self.storage.items()
            for interface, url in urls.items()
        ]
        compute = {"id": "c", "interface": "public", "region": "one", "region_id": "one", "url": "http://127.0.0.1:1"}
        catalogue = [{"id": "s1", "type": "compute", "name": "nova", "endpoints": [compute]}]
        return [*catalogue, {"id": "s2", "type": "object-store", "name": "swift", "endpoints": endpoints}][
            : 2 if endpoints else 1
        ]

    def _version_2(self, body: dict[str, Any]) -> Answer:
        asked = body["auth"]
        if asked["passwordCredentials"] != {"username": USER, "password": PASSWORD}:
            raise Refused(HTTPStatus.UNAUTHORIZED)
        access: dict[str, Any] = {"token": {"id": self.token(), "expires": self._expires}, "serviceCatalog": []}
        access["user"] = {"id": "u0", "name": USER, "username": USER, "roles": [], "roles_links": []}
        if "tenantName" in asked or "tenantId" in asked:
            if (asked.get("tenantName", PROJECT), asked.get("tenantId", PROJECT_ID)) != (PROJECT, PROJECT_ID):
                raise Refused(HTTPStatus.UNAUTHORIZED)
            access["token"]["tenant"] = {"id": PROJECT_ID, "name": PROJECT}
            endpoints = [
                {"region": region, **{f"{interface}URL": url for interface, url in urls.items()}}
                for region, urls in self.storage.items()
            ]
            access["serviceCatalog"] = [{"type": "object-store", "name": "swift", "endpoints": endpoints}]
        self.asked.append(body)
        return Answer(HTTPStatus.OK, json.dumps({"access": access}).encode(), JSON)
