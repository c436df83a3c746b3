"""Google's services around storage: tokens, federation, IAM, and the metadata server of a virtual machine."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from aiohttp import web

from tests.servers.google_accounts import IAM_SCOPES, PLATFORM, PROJECT, Refused

if TYPE_CHECKING:
    from tests.servers.google_accounts import Accounts


class GoogleServices:
    """The services.

    Args:
        accounts: that they know.
    """

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self.requests: list[str] = []

    def add_routes(self, application: web.Application) -> None:
        """Add what they answer."""
        application.router.add_post("/token", self._token)
        application.router.add_post("/sts", self._sts)
        application.router.add_post("/v1/projects/-/serviceAccounts/{call}", self._iam)
        application.router.add_get("/computeMetadata/v1/{rest:.*}", self._metadata)
        application.router.add_get("/", self._metadata_root)

    async def _token(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(self.accounts.exchange(dict(await request.post())))
        except Refused as error:
            return web.json_response(error.body, status=400)

    async def _sts(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(self.accounts.federate(dict(await request.post())))
        except Refused as error:
            return web.json_response(error.body, status=400)

    async def _iam(self, request: web.Request) -> web.Response:
        self.requests.append(f"{request.method} {request.path_qs}")
        email, _, what = request.match_info["call"].partition(":")
        holder = self.accounts.holder(request.headers.get("Authorization", ""), IAM_SCOPES)
        if holder is None or email not in self.accounts.known:
            return json_error(401, "authError", "Request had invalid authentication credentials.")
        if what == "generateAccessToken":
            granted = self.accounts.grant(email, " ".join((await request.json())["scope"]))
            until = "2099-01-01T00:00:00Z"
            return web.json_response({"accessToken": granted["access_token"], "expireTime": until})
        if not self.accounts.signs:
            return json_error(
                403, "forbidden", "Permission 'iam.serviceAccounts.signBlob' denied on resource (or it may not exist)."
            )
        content = base64.b64decode((await request.json())["payload"])
        signature = self.accounts.sign(email, content)
        return web.json_response({"keyId": "system", "signedBlob": base64.b64encode(signature).decode()})

    async def _metadata_root(self, _request: web.Request) -> web.Response:
        return web.Response(text="computeMetadata/\n", headers={"Metadata-Flavor": "Google"})

    async def _metadata(self, request: web.Request) -> web.Response:
        headers = {"Metadata-Flavor": "Google"}
        if request.headers.get("Metadata-Flavor") != "Google":
            return web.Response(status=403)
        email = next(iter(self.accounts.known))
        rest = request.match_info["rest"]
        if rest == "project/project-id":
            return web.Response(text=PROJECT, headers=headers)
        if rest.endswith("/token"):
            return web.json_response(self.accounts.grant(email, PLATFORM), headers=headers)
        if rest.startswith("instance/service-accounts/"):
            return web.json_response({"email": email, "scopes": ["cloud-platform"], "aliases": []}, headers=headers)
        return web.Response(status=404, headers=headers)


def json_error(status: int, reason: str, message: str) -> web.Response:
    """Return an error as Google's JSON APIs have it."""
    error = {"code": status, "message": message, "errors": [{"message": message, "domain": "global", "reason": reason}]}
    return web.json_response({"error": error}, status=status)
