"""TCP addresses as settings have them, ``host:port``: resolved, tried before anything is started, and reached."""

from __future__ import annotations

import socket
from typing import NamedTuple

ANY_HOST = "0.0.0.0"  # noqa: S104 -- what ":5000" means
LOOPBACK_OF = {ANY_HOST: "127.0.0.1", "::": "::1"}
LARGEST_PORT = 65535


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
    """Return the address to listen on; without a host, on all IPv4 addresses of the machine.

    Raises:
        ValueError: it is not ``host:port``.
        OSError: the host cannot be resolved.
    """
    host, port = split_address(text)
    found = socket.getaddrinfo(host or ANY_HOST, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return TcpAddress(str(found[0][4][0]), port)


def reachable(text: str) -> tuple[str, int]:
    """Return host and port at which this machine reaches a server of its own that listens on ``text``.

    Raises:
        ValueError: it is not ``host:port``.
    """
    host, port = split_address(text)
    return LOOPBACK_OF.get(host or ANY_HOST, host), port
