"""``auth.htpasswd``: Basic credentials against a file of bcrypt hashes. Whoever is in the file may do everything.

Sources: RFC 7617 and Distribution's ``registry/auth/htpasswd``.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from matou.registry.auth.base import Identity, Unauthorized
from matou.registry.auth.basic import parse_basic
from matou.registry.auth.challenge import basic_challenge
from matou.registry.auth.passwordfile import check_password
from matou.registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from matou.registry.auth.base import Access, Origin
    from matou.registry.auth.basic import BasicCredentials
    from matou.registry.auth.passwordfile import PasswordFile

REMEMBERED_FOR = 60.0  # seconds that a right password need not be hashed again
REMEMBERED_USERS = 4096
FILE_CHECKED_EVERY = 1.0  # seconds
MAX_WAITING = 128  # distinct credentials; beyond, guessing passwords must not queue up work for minutes
HASHING_THREADS = 2  # of one worker: hashing takes a whole core each


class _Success(NamedTuple):
    identity: Identity
    until: float


class HtpasswdAuthenticator:
    """Checks passwords in threads of its own, few at a time, and remembers for a moment the right ones.

    Args:
        realm: appears in the challenge.
        file: users and hashes.
        clock: seconds, of any origin, never going back.
    """

    def __init__(self, realm: str, file: PasswordFile, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._challenge = basic_challenge(realm)
        self._file = file
        self._clock = clock
        self._check_next = clock() + FILE_CHECKED_EVERY
        # Passwords are not kept: only a MAC under a key that exists in this process alone.
        self._mac_key = secrets.token_bytes(64)
        self._known: OrderedDict[bytes, _Success] = OrderedDict()
        self._running: dict[bytes, asyncio.Future[bool]] = {}
        self._pool = ThreadPoolExecutor(max_workers=HASHING_THREADS, thread_name_prefix="bcrypt")

    def authorize_now(
        self,
        authorization: str | None,
        wanted: tuple[Access, ...],
        origin: Origin,  # noqa: ARG002 -- part of the contract
        *,
        expired_ok: bool = False,  # noqa: ARG002 -- part of the contract
    ) -> Identity | None:
        """See ``Authenticator.authorize_now``: decides where no hash must be computed."""
        credentials = self._credentials(authorization, wanted)
        now = self._clock()
        self._follow_file(now)
        return self._remembered(self._mac(credentials), now)

    async def authorize(
        self,
        authorization: str | None,
        wanted: tuple[Access, ...],
        origin: Origin,  # noqa: ARG002 -- part of the contract
        *,
        expired_ok: bool = False,  # noqa: ARG002 -- part of the contract
    ) -> Identity:
        """See ``Authenticator.authorize``.

        Raises:
            RegistryError: TOOMANYREQUESTS, when too many passwords wait to be checked.
        """
        credentials = self._credentials(authorization, wanted)
        now = self._clock()
        self._follow_file(now)
        mac = self._mac(credentials)
        identity = self._remembered(mac, now)
        if identity is not None:
            return identity
        hashed = self._file.users.get(credentials.user)
        right = await self._check(mac, credentials.password, self._file.decoy if hashed is None else hashed)
        # The file may have changed while we waited.
        if not right or hashed is None or self._file.users.get(credentials.user) != hashed:
            reason = f"error authenticating user {credentials.user!r}: unknown user or wrong password"
            raise Unauthorized(self._challenge, wanted, reason)
        identity = Identity(credentials.user)
        self._known[mac] = _Success(identity, now + REMEMBERED_FOR)
        if len(self._known) > REMEMBERED_USERS:
            self._known.popitem(last=False)
        return identity

    def _credentials(self, authorization: str | None, wanted: tuple[Access, ...]) -> BasicCredentials:
        if not authorization:
            raise Unauthorized(self._challenge, wanted, "basic credentials required")
        credentials = parse_basic(authorization)
        if credentials is None:
            raise Unauthorized(self._challenge, wanted, "malformed Authorization header: expected Basic credentials")
        return credentials

    def _mac(self, credentials: BasicCredentials) -> bytes:
        user = credentials.user.encode("utf-8")  # holds no colon, so the pair is unambiguous
        return hashlib.blake2b(user + b":" + credentials.password, key=self._mac_key, digest_size=32).digest()

    def _remembered(self, mac: bytes, now: float) -> Identity | None:
        success = self._known.get(mac)
        if success is None:
            return None
        if now >= success.until:
            del self._known[mac]
            return None
        return success.identity

    async def _check(self, mac: bytes, password: bytes, hashed: bytes) -> bool:
        """Compute one hash for all who wait for the same: a client opens several connections with its password."""
        key = mac + hashed
        future = self._running.get(key)
        if future is None:
            if len(self._running) >= MAX_WAITING:
                raise RegistryError(
                    "TOOMANYREQUESTS",
                    detail="too many passwords wait to be checked; try again in a moment",
                    headers=(("Retry-After", "5"),),
                )
            future = asyncio.get_running_loop().run_in_executor(self._pool, check_password, password, hashed)
            self._running[key] = future
            future.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(future)  # a client that goes away does not end the check of the others

    def _follow_file(self, now: float) -> None:
        if now < self._check_next:
            return
        self._check_next = now + FILE_CHECKED_EVERY
        if self._file.refresh():
            self._known.clear()
