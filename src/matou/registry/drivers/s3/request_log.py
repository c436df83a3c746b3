"""What ``storage.s3.loglevel`` logs: requests as the service sees them, never signatures, keys or bodies."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

log = logging.getLogger("matou.registry")

FAILURES_ONLY = frozenset(("debugwithrequestretries", "debugwithrequesterrors", "retries"))
OFF = "off"


class Watched:
    """A request that is under way."""

    def __init__(self) -> None:
        self.status = 0
        self.identity = "unknown"

    def answered(self, status: int, identity: str) -> None:
        """Note the answer.

        Args:
            status: of HTTP.
            identity: that the service gave to the request.
        """
        self.status = status
        self.identity = identity


class RequestLog:
    """Logs requests.

    Args:
        succeeded: whether those that succeeded are logged, too.
        failed: whether those that failed are.
    """

    def __init__(self, *, succeeded: bool, failed: bool) -> None:
        self._succeeded = succeeded
        self._failed = failed

    @classmethod
    def of(cls, loglevel: str) -> Self:
        """Return what a level of Distribution, or some of GitLab's, stands for."""
        levels = {word.strip().removeprefix("log") for word in loglevel.lower().split(",")}
        if OFF in levels:
            return cls(succeeded=False, failed=False)
        return cls(succeeded=bool(levels - FAILURES_ONLY), failed=True)

    @contextmanager
    def watching(self, operation: str, where: str) -> Iterator[Watched]:
        """Log a request that is sent in the block.

        Args:
            operation: its name.
            where: key or prefix that it concerns.
        """
        watched = Watched()
        began = time.monotonic()
        failure = ""
        try:
            yield watched
        except ClientError as error:
            failure = str(error.response.get("Error", {}).get("Code", ""))
            raise
        except Exception as error:
            failure = type(error).__name__
            raise
        finally:
            if self._failed and (failure or self._succeeded):
                log.info(
                    "s3 request: %s of %s: %s in %.3f s, request id %s",
                    operation,
                    where,
                    f"{watched.status or ''} {failure}".strip(),
                    time.monotonic() - began,
                    watched.identity,
                )
