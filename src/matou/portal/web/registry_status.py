"""Whether the registry answers and trusts our tokens; asked now and then, not for every page.

Concurrency: used by all of the server's threads. One asks the registry, the others meanwhile get the last answer.
"""

from __future__ import annotations

import http.client
import logging
import threading
import time
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING

from matou.jwt.keyfiles import KeyFileError
from matou.portal.images.registry_tokens import internal_token
from matou.system.addresses import reachable

if TYPE_CHECKING:
    from collections.abc import Callable

FRESH = 10.0  # seconds that an answer counts
TIMEOUT = 2.0  # seconds

log = logging.getLogger(__name__)


class State(Enum):
    """What is known of the registry."""

    RUNNING = "running"
    UNREACHABLE = "unreachable"
    DISTRUSTFUL = "distrustful"  # it answers, but not to tokens of ours


@dataclass(frozen=True, slots=True)
class _Answer:
    at: float
    state: State


class RegistryStatus:
    """Asks the registry.

    Args:
        address: host:port where it listens.
    """

    def __init__(self, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._address = address
        self._clock = clock
        self._asking = threading.Lock()
        self._last: _Answer | None = None

    def get(self) -> State:
        """Return what the registry's last answer says; asks when that is older than ``FRESH`` seconds."""
        last = self._last
        if last is not None and self._clock() - last.at < FRESH:
            return last.state
        if not self._asking.acquire(blocking=last is None):
            return State.UNREACHABLE if last is None else last.state
        try:
            last = self._last
            if last is None or self._clock() - last.at >= FRESH:
                last = self._last = _Answer(self._clock(), ask(self._address))
            return last.state
        finally:
            self._asking.release()


def ask(address: str) -> State:
    """Ask the registry now.

    Args:
        address: host:port.

    Source: OCI Distribution Specification 1.1, "Determining Support".
    """
    try:
        token = internal_token({})
    except KeyFileError as error:
        log.error("no token can be signed: %s", error)  # noqa: TRY400 -- the message says it all
        return State.DISTRUSTFUL
    connection = http.client.HTTPConnection(*reachable(address), timeout=TIMEOUT)
    try:
        connection.request("GET", "/v2/", headers={"Authorization": f"Bearer {token}"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return State.UNREACHABLE
    finally:
        connection.close()
    if status == HTTPStatus.OK:
        return State.RUNNING
    return State.DISTRUSTFUL if status == HTTPStatus.UNAUTHORIZED else State.UNREACHABLE
