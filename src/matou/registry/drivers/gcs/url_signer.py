"""Signs URLs: with the service account's own key, or by IAM where the account has none here.

Source: https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/signBlob
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from google.auth import exceptions
from google.auth.credentials import Signing

from matou.registry.drivers.base import StorageError
from matou.registry.drivers.gcs.api import Address, Body
from matou.registry.drivers.gcs.signing import unsigned_url

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

    from matou.registry.drivers.gcs.api import Api
    from matou.registry.drivers.gcs.credentials import CredentialSource
    from matou.registry.drivers.gcs.signing import UnsignedUrl

log = logging.getLogger("matou.registry")

REST = 60.0  # seconds in which IAM is not asked again when it did not sign


class UrlSigner:
    """Signs URLs of one bucket's objects.

    Args:
        api: of the bucket.
        source: of the credentials; None where there are none.
        iam: URL of IAM's service for credentials.
    """

    def __init__(self, api: Api, source: CredentialSource | None, iam: str) -> None:
        self._api = api
        self._account = source.account if source is not None else None
        self._iam = iam
        self._resting_until = 0.0

    async def sign(self, method: str, name: str, seconds: float) -> str | None:
        """Return the signed URL of an object; None when nobody signs, which is logged once in a while.

        Args:
            method: ``GET`` or ``HEAD``.
            name: of the object.
            seconds: how long it is good; 7 days at most.
        """
        if self._account is not None:
            unsigned = self._unsigned(method, name, self._account.signer_email, seconds)
            return unsigned.signed(self._account.sign_bytes(unsigned.to_sign))
        if time.monotonic() < self._resting_until:
            return None
        try:
            return await self._signed_remotely(method, name, seconds)
        except StorageError as error:
            self._resting_until = time.monotonic() + REST
            log.warning("pulls are not redirected to Google Cloud Storage, as URLs cannot be signed: %s", error)
            return None

    async def _signed_remotely(self, method: str, name: str, seconds: float) -> str | None:
        credentials = await self._api.tokens.credentials()
        if credentials is None:
            return None
        account = _account(credentials)
        if account is None:
            raise StorageError(
                "the credentials are no service account's; use a service account, or set storage.redirect.disable"
            )
        unsigned = self._unsigned(method, name, account, seconds)
        if isinstance(credentials, Signing):
            try:
                signature: bytes = await asyncio.to_thread(credentials.sign_bytes, unsigned.to_sign)
            except exceptions.GoogleAuthError as error:
                raise StorageError(_refusal(account, str(error).splitlines()[0])) from error
            return unsigned.signed(signature)
        return unsigned.signed(await self._sign_blob(account, unsigned.to_sign))

    def _unsigned(self, method: str, name: str, account: str, seconds: float) -> UnsignedUrl:
        url = f"{self._api.endpoint}/{self._api.bucket}/{quote(name, safe='/')}"
        return unsigned_url(method, url, account, datetime.now(UTC), seconds)

    async def _sign_blob(self, account: str, content: bytes) -> bytes:
        body = json.dumps({"payload": base64.b64encode(content).decode()}).encode()
        url = f"{self._iam}/v1/projects/-/serviceAccounts/{quote(account, safe='@')}:signBlob"
        try:
            answer = await self._api.call_once(
                Address("POST", url, {}, "signing a URL"), Body("application/json", [body])
            )
            return base64.b64decode(answer.json()["signedBlob"])
        except (StorageError, LookupError, TypeError, ValueError) as error:
            raise StorageError(_refusal(account, str(error))) from error


def _account(credentials: Credentials) -> str | None:
    """Return the email address of the service account that credentials stand for, if they do."""
    address = getattr(credentials, "service_account_email", None)
    return address if isinstance(address, str) and "@" in address else None


def _refusal(account: str, said: str) -> str:
    return (
        f"IAM did not sign for {account} ({said}): grant that account Service Account Token Creator "
        "(roles/iam.serviceAccountTokenCreator) on itself and enable the IAM Service Account Credentials API, or set "
        "storage.redirect.disable"
    )
