"""Addresses of the servers of a run."""

from __future__ import annotations

import secrets
import socket

HOST = "127.0.0.1"
LOWEST, HIGHEST = 20000, 32000  # SeaweedFS has a second port, 10,000 above each


def free_port() -> int:
    """Return a port that nobody listens on now, nor on the one 10,000 above."""
    while True:
        port = LOWEST + secrets.randbelow(HIGHEST - LOWEST)
        with socket.socket() as probe, socket.socket() as above:
            try:
                probe.bind((HOST, port))
                above.bind((HOST, port + 10_000))
            except OSError:
                continue
            return port
