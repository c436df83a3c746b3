"""Where the body of a streamed answer goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from matou.registry.drivers.unread import Unread
    from matou.registry.http.message import Headers


class ClientGone(Exception):  # noqa: N818 -- what happened
    """The client closed its connection."""


class ClientStalled(Exception):  # noqa: N818 -- as above
    """The client has taken nothing for a long time."""


class Outlet(Protocol):
    """Takes the body of one answer at the pace of the client.

    Attributes:
        written: bytes of the body that are on their way.
    """

    written: int

    async def begin(self, status: int, headers: Headers) -> None:
        """Begin the answer.

        Args:
            status: of HTTP.
            headers: ``Content-Length`` among them.
        """
        ...

    async def write(self, piece: bytes) -> None:
        """Send all of it.

        Raises:
            ClientGone: the client closed its connection.
            ClientStalled: it has taken nothing for a long time.
        """
        ...

    async def move(self, unread: Unread) -> None:
        """Send what is still at the storage's connection, or as much of it as the storage comes up with.

        Raises:
            ClientGone: the client closed its connection.
            ClientStalled: it has taken nothing for a long time.
        """
        ...

    async def end(self) -> None:
        """End the answer. When it is shorter than ``Content-Length``, the client sees its connection end."""
        ...

    def close(self) -> None:
        """Give back what the outlet holds, at once. Closing twice is harmless."""
        ...
