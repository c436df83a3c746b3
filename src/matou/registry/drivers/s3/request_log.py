"""What ``storage.s3.loglevel`` logs: requests as the service sees them, never signatures, keys or bodies."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

log = logging.getLogger("matou.registry")

FAILURES_ONLY = frozenset(("debugwithrequestretries", "debugwithrequesterrors", "retries"))
OFF = "off"
ERROR = 400  # status


class RequestLog:
    """Logs the requests of clients.

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

    def register(self, events: Any) -> None:
        """Listen to the events of a client."""
        if self._failed:
            events.register("before-send.s3", self._begin)
            events.register("response-received.s3", self._end)

    def _begin(self, request: Any, **_kwargs: Any) -> None:
        request.context["matou_sent"] = time.monotonic()

    def _end(
        self,
        event_name: str,
        parsed_response: Any,
        context: dict[str, Any],
        exception: BaseException | None,
        **_kwargs: Any,
    ) -> None:
        metadata = (parsed_response or {}).get("ResponseMetadata", {})
        status = int(metadata.get("HTTPStatusCode", 0))
        failed = exception is not None or status >= ERROR
        if not failed and not self._succeeded:
            return
        asked = context.get("s3_redirect", {}).get("params", {})
        code = (parsed_response or {}).get("Error", {}).get("Code", "")
        log.info(
            "s3 request: %s of %s: %s in %.3f s, request id %s",
            event_name.rpartition(".")[2],
            asked.get("Key") or asked.get("Prefix") or asked.get("Bucket"),
            type(exception).__name__ if exception is not None else f"{status} {code}".rstrip(),
            time.monotonic() - context.get("matou_sent", time.monotonic()),
            metadata.get("RequestId", "unknown"),
        )
