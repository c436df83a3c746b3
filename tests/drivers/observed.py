"""What the requests of a driver tell their observer."""

from __future__ import annotations


class Observed:
    """Counts retries; nothing may wait for a limit of requests.

    Attributes:
        retries: whether the storage was too busy, of each.
    """

    def __init__(self) -> None:
        self.retries: list[bool] = []

    def retried(self, *, throttled: bool) -> None:
        self.retries.append(throttled)

    def waited(self, seconds: float) -> None:
        raise AssertionError(f"waited {seconds} s for a limit that there is not")
