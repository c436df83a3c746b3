"""What a worker notes of each request: access log, metrics, health; put together from the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matou.registry.observe.figures import RequestFigures


class Observer:
    """What the endpoint calls; what is switched off is None, and costs nothing.

    Args:
        access: logs an answered request: (scope, method, path, request id, status, bytes sent, seconds).
        failing: the health checks that fail, name to reason; looked at anew for each request.
        figures: counts requests.
        prefix: what comes before ``/v2`` in paths.
    """

    def __init__(
        self,
        access: Callable[[Any, str, str, str, int, int, float], None] | None,
        failing: Mapping[str, str],
        figures: RequestFigures | None,
        prefix: str,
    ) -> None:
        self.access = access
        self.failing = failing
        self.figures = figures
        self.prefix = prefix
