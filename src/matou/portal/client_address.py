"""Where a request comes from."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from matou.system.addresses import without_mapping

if TYPE_CHECKING:
    from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the address of the client, for the log and for throttling.

    A proxy on this machine is believed: the last entry of its ``X-Forwarded-For`` is the peer that it saw itself. What
    stands before that, and what other peers say, may be forged.
    """
    peer = without_mapping(request.META.get("REMOTE_ADDR") or "")
    if not _is_loopback(peer):
        return peer
    last = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
    try:
        return str(ipaddress.ip_address(last.strip("[]")))
    except ValueError:
        return peer


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return not address  # a Unix socket
