"""Addresses for servers of tests."""

from __future__ import annotations

import secrets
import socket

LOWEST, HIGHEST = 20000, 32000  # below what Linux gives to outgoing connections: still free when a server comes back


def free_port() -> int:
    """Return a port that nobody listens on now; a random one, as several test processes ask at once."""
    while True:
        port = LOWEST + secrets.randbelow(HIGHEST - LOWEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
