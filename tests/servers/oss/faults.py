"""Faults on demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.servers.oss.incoming import Incoming


@dataclass(slots=True)
class Fault:
    """Something that goes wrong with some requests.

    Attributes:
        operation: that fails, such as ``PutObject``.
        key: a part of the keys that it fails for.
        times: how often.
        status: of the answer, which is given instead of doing anything; 0 for no answer.
        code: of the answer.
        after: bytes of the body of an answer after which the connection breaks; None to break no connection.
        lost: whether the request is done and its answer lost.
    """

    operation: str
    key: str = ""
    times: int = 1
    status: int = 0
    code: str = ""
    after: int | None = None
    lost: bool = False


class Faults:
    """Those that are still to come, and what requests there were."""

    def __init__(self) -> None:
        self.coming: list[Fault] = []
        self.seen: list[Incoming] = []

    def next(self, request: Incoming) -> Fault | None:
        """Note a request; return the fault that it meets."""
        self.seen.append(request)
        for fault in self.coming:
            if fault.operation == request.operation and fault.key in request.key and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def operations(self) -> list[str]:
        """Return the operations that were asked for so far, in order, and forget them."""
        seen, self.seen = self.seen, []
        return [request.operation for request in seen]
