"""Access tokens: fetched by google-auth in a thread, kept until shortly before they expire.

Concurrency: one fetch at a time; requests go on with the old token meanwhile, as long as it is good.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from datetime import UTC
from typing import TYPE_CHECKING

from google.auth import exceptions
from google.auth.transport.requests import Request

from matou.registry.drivers.base import StorageError, Transient, Unusable
from matou.registry.drivers.blocking_requests import proxied_session, system_authorities
from matou.registry.drivers.proxies import Proxies

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

    from matou.registry.drivers.gcs.credentials import CredentialSource

log = logging.getLogger("matou.registry")

# The metadata server gives out its old token until 5 minutes before the end: asking earlier than this is for nothing.
EARLY = 225.0  # seconds before a token expires: a new one is fetched
EARLY_SHARE = 0.25  # of its life, for tokens that live shortly
SPARE = 10.0  # seconds before a token expires: it is not used any more
AGAIN = 10.0  # seconds until a fetch that failed is tried again while the old token is good
PATIENCE = 20.0  # seconds that a token service may take
DEFAULT_LIFE = 3600.0  # seconds, where a service does not say


class Tokens:
    """The registry's access token.

    Args:
        source: of the credentials; None to send no token at all (an emulator).
    """

    def __init__(self, source: CredentialSource | None) -> None:
        self._source = source
        self._credentials: Credentials | None = None
        self._token = ""
        self._renewed_at = 0.0  # when a new one is fetched, by time.time
        self._good_until = 0.0
        self._fetching: asyncio.Task[None] | None = None

    async def authorization(self) -> str:
        """Return the header ``Authorization``; empty where none is to be sent.

        Raises:
            Transient: the token service cannot be reached.
            StorageError: it refuses, or there are no credentials.
        """
        if self._source is None:
            return ""
        now = time.time()
        if now >= self._renewed_at:
            fetching = self._fetch()
            if now >= self._good_until:
                await asyncio.shield(fetching)
        return f"Bearer {self._token}"

    async def credentials(self) -> Credentials | None:
        """Return the credentials, which have fetched a token at least once; None where there are none."""
        await self.authorization()
        return self._credentials

    def refuse(self, authorization: str) -> None:
        """Take note that the service did not accept a token, so that the next request fetches another."""
        if authorization == f"Bearer {self._token}":
            self._renewed_at = self._good_until = 0.0

    def _fetch(self) -> asyncio.Task[None]:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._renew())
            self._fetching.add_done_callback(self._note)
        return self._fetching

    def _note(self, fetching: asyncio.Task[None]) -> None:
        if fetching.cancelled() or fetching.exception() is None:
            return
        now = time.time()
        if now < self._good_until:
            self._renewed_at = now + AGAIN
            log.warning("the access token for Google Cloud Storage could not be renewed yet: %s", fetching.exception())

    async def _renew(self) -> None:
        token, life = await asyncio.to_thread(self._ask)
        now = time.time()
        self._token = token
        self._good_until = now + life - min(SPARE, life * EARLY_SHARE / 2)
        self._renewed_at = now + life - min(EARLY, life * EARLY_SHARE)

    def _ask(self) -> tuple[str, float]:
        """Fetch a token; return it and the seconds that it lives. Runs in a thread."""
        assert self._source is not None  # noqa: S101 -- authorization has looked
        name = self._source.name
        session = proxied_session(Proxies())
        session.verify = system_authorities()
        request = Request(session)
        try:
            if self._credentials is None:
                self._credentials = self._source.load()
            found = self._credentials
            found.refresh(functools.partial(request, timeout=PATIENCE))
        except exceptions.TransportError as error:
            raise Transient(f"Google's token service cannot be reached: {_first_line(error)}") from error
        except exceptions.RefreshError as error:
            raise refused(error, name) from error
        except exceptions.GoogleAuthError as error:
            raise Unusable(f"{name} cannot be used: {_first_line(error)}") from error
        finally:
            session.close()
        if not found.token:
            raise Unusable(f"{name} brought no access token; expected one from Google's token service")
        if found.expiry is None:
            return found.token, DEFAULT_LIFE
        return found.token, found.expiry.replace(tzinfo=UTC).timestamp() - time.time()

    async def close(self) -> None:
        """Wait for the thread that fetches a token."""
        if self._fetching is not None:
            await asyncio.gather(self._fetching, return_exceptions=True)


def refused(error: exceptions.RefreshError, name: str) -> StorageError:
    """Return what a person can do about a token service that refuses.

    Args:
        error: with what it said.
        name: of the credentials' source.
    """
    said = _first_line(error)
    if error.retryable:
        return Transient(f"Google's token service failed: {said}")
    lower = said.lower()
    if "short-lived" in lower or "iat and exp" in lower:
        reason = "this machine's clock is wrong: synchronize it (NTP)"
    elif "signature" in lower:
        reason = f"the key is not, or no longer, the account's: make a new key and put it in {name}"
    elif "disabled" in lower:
        reason = f"the account of {name} is disabled: enable it in IAM"
    elif "not found" in lower:
        reason = f"the account of {name} was deleted: make a new one with a key, and put that in {name}"
    else:
        reason = f"look at the account of {name}"
    return Unusable(f"Google gives no access token ({said}); {reason}")


def _first_line(error: exceptions.GoogleAuthError) -> str:
    lines = str(error.args[0] if error.args else error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")[:300]
