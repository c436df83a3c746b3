"""TCP addresses as settings have them, ``host:port``: resolved, tried before anything is started, and reached."""

from __future__ import annotations

import socket
from typing import NamedTuple

ANY_IPV4 = "0.0.0.0"  # noqa: S104 -- for who wants to be reached
ANY_HOST = "::"  # also takes IPv4
LOOPBACK_OF = {ANY_IPV4: "127.0.0.1", ANY_HOST: "::1"}
LARGEST_PORT = 65535
MAPPED = "::ffff:"  # RFC 4291, 2.5.5.2


class TcpAddress(NamedTuple):
    """Where a server listens.

    Attributes:
        host: IP address, without brackets.
        port: TCP port.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def family(self) -> socket.AddressFamily:
        """``AF_INET6`` or ``AF_INET``."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    def try_listening(self) -> None:
        """Find out whether the address can be listened on.

        Raises:
            OSError: it cannot: another process does, say (EADDRINUSE).
        """
        with socket.socket(self.family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((self.host, self.port))


def split_address(text: str) -> tuple[str, int]:
    """Return host, without brackets, and port; the host of ``:5000`` is "".

    Raises:
        ValueError: it is not ``host:port``.
    """
    host, separator, port = text.rpartition(":")
    if not separator or not port.isascii() or not port.isdigit() or int(port) > LARGEST_PORT:
        raise ValueError(f"{text!r} is not host:port")
    return host.strip("[]"), int(port)


def resolve(text: str) -> TcpAddress:
    """Return the address to listen on; without a host, on all of the machine's, as Go's servers do.

    Raises:
        ValueError: it is not ``host:port``.
        OSError: the host cannot be resolved.
    """
    host, port = split_address(text)
    found = socket.getaddrinfo(host or any_host(), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return TcpAddress(str(found[0][4][0]), port)


def any_host() -> str:
    """Return what ``:5000`` listens on: ``::``, and ``0.0.0.0`` where that would not take IPv4 or there is no IPv6."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind((ANY_HOST, 0))
            takes_ipv4 = not probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    except OSError:
        return ANY_IPV4
    return ANY_HOST if takes_ipv4 else ANY_IPV4


def without_mapping(host: str) -> str:
    """Return a peer's address as people write it: of ``::ffff:10.1.2.3``, IPv4 at an IPv6 socket, ``10.1.2.3``."""
    return host[len(MAPPED) :] if host.startswith(MAPPED) and "." in host else host


def reachable(text: str) -> tuple[str, int]:
    """Return host and port at which this machine reaches a server of its own that listens on ``text``.

    Raises:
        ValueError: it is not ``host:port``.
    """
    host, port = split_address(text)
    return LOOPBACK_OF.get(host or ANY_IPV4, host), port
