"""Which client a request came from, through any proxies.

Source: Distribution ``requestutil.RemoteAddr``: the first address of ``X-Forwarded-For``, then ``X-Real-Ip``, then the
connection's. Clients can write these headers themselves: the address is for people who read logs, never for decisions.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Protocol

from matou.system.addresses import without_mapping

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_ADDRESS = 64  # characters; an IPv6 address with a zone has fewer


class Connection(Protocol):
    """The part of RSGI's scope that says who is at the other end."""

    @property
    def client(self) -> str:
        """``host:port``; of a Unix socket whatever the server makes up."""
        ...


def forwarded_address(header: Callable[[str], str | None]) -> str | None:
    """Return the client's IP address as proxies give it, or None when they give none that is valid.

    Args:
        header: returns a request header by its lower-case name.
    """
    forwarded = header("x-forwarded-for")
    if forwarded is not None:
        first = forwarded.partition(",")[0].strip()
        if is_address(first):
            return first
    real = header("x-real-ip")
    return real if real is not None and is_address(real) else None


def connection_address(scope: Connection) -> str:
    """Return the IP address of the connection's other end; "-" for a Unix socket."""
    return without_mapping(scope.client.rpartition(":")[0].strip("[]")) or "-"


def is_address(text: str) -> bool:
    """Return whether a text is an IP address."""
    if len(text) > LONGEST_ADDRESS:
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text
