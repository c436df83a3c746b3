"""Through which proxy a storage is reached: ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY`` as Go reads them.

Distribution is one of those, so an environment that was written for it means the same here. What an HTTP library makes
of the environment by itself is never used: each has rules of its own, and some read ``~/.netrc`` besides.

Source: Go, ``golang.org/x/net/http/httpproxy``, which ``net/http`` uses.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from aiohttp import ClientHttpProxyError, ClientProxyConnectionError
from yarl import URL

from matou.registry.drivers.base import Transient, Unusable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Address

PORTS = {"http": 80, "https": 443}


class Proxies:
    """The proxies of an environment, which is read once.

    Args:
        environment: has the variables, in capitals or, where those are missing, in small letters.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        given = os.environ if environment is None else environment
        self._proxies = {scheme: _variable(given, f"{scheme}_proxy") for scheme in PORTS}
        entries = [entry.strip().lower() for entry in _variable(given, "no_proxy").split(",")]
        self._everything = "*" in entries
        self._exempt = [found for found in map(_exemption, entries) if found is not None]
        self._known: dict[tuple[str, str, int], URL | None] = {}

    def of(self, url: str | URL) -> URL | None:
        """Return the proxy for a URL; None to connect to its host.

        ``localhost`` and addresses of this machine have none.

        Raises:
            Unusable: what the environment names is no HTTP proxy; the message does not quote it, as it may hold a
                password.
        """
        found = URL(url)
        scheme = found.scheme
        key = scheme, (found.raw_host or "").lower(), found.port or PORTS.get(scheme, 0)
        if key not in self._known:
            self._known[key] = self._find(*key)
        return self._known[key]

    def _find(self, scheme: str, host: str, port: int) -> URL | None:
        given = self._proxies.get(scheme, "")
        if not given or self._everything or host == "localhost":
            return None
        address = _address(host)
        if address is not None and address.is_loopback:
            return None
        if any(exemption.covers(host, address, port) for exemption in self._exempt):
            return None
        return _proxy(given, f"{scheme.upper()}_PROXY")


@dataclass(frozen=True, slots=True)
class _Exemption:
    """What is reached without a proxy: addresses, or the names below a domain.

    Attributes:
        network: the addresses; None for names.
        domain: the names end with.
        has_itself: whether the domain is such a name, too.
        port: that counts; None for any.
    """

    network: IPv4Network | IPv6Network | None
    domain: str = ""
    has_itself: bool = False
    port: int | None = None

    def covers(self, host: str, address: IPv4Address | IPv6Address | None, port: int) -> bool:
        if self.port not in (None, port):
            return False
        if self.network is not None:
            return address is not None and address in self.network
        return host.endswith(f".{self.domain}") or (self.has_itself and host == self.domain)


def failure_of_proxy(what: str, error: ClientProxyConnectionError | ClientHttpProxyError) -> Transient | Unusable:
    """Return the error for a proxy that cannot be reached, or makes no connection.

    Args:
        what: was asked for, to begin a message with.
        error: that the HTTP library raises.
    """
    if isinstance(error, ClientHttpProxyError):
        if error.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return unauthenticated(what)
        return Transient(f"{what}: the proxy of the environment makes no connection: it answered {error.status}")
    said = " ".join(str(error).split())
    return Transient(f"{what}: the proxy of the environment cannot be reached: {said}")


def unauthenticated(what: str) -> Unusable:
    """Return the error for status 407, which nobody but a proxy answers.

    Args:
        what: was asked for, to begin a message with.
    """
    return Unusable(
        f"{what}: the proxy of the environment wants another user and password (407); correct HTTP_PROXY or "
        "HTTPS_PROXY, or name the storage in NO_PROXY"
    )


def _exemption(entry: str) -> _Exemption | None:
    """Return what an entry of ``NO_PROXY`` means; None for one that means nothing."""
    network = _network(entry) if "/" in entry else None
    if network is not None:
        return _Exemption(network)
    host, port = _host_and_port(entry)
    network = _network(host)
    if network is not None:
        return _Exemption(network, port=port)
    domain = host.removeprefix("*").removeprefix(".")
    if not domain:
        return None
    try:
        domain = URL.build(scheme="http", host=domain).raw_host or domain
    except ValueError:
        return None  # no host has such a name
    return _Exemption(None, domain, has_itself=not host.startswith((".", "*.")), port=port)


def _host_and_port(entry: str) -> tuple[str, int | None]:
    host, colon, port = entry.rpartition(":")
    if colon and port.isascii() and port.isdecimal() and (":" not in host or host.endswith("]")):
        return host.removeprefix("[").removesuffix("]"), int(port)
    return entry.removeprefix("[").removesuffix("]"), None


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(host)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def _proxy(given: str, variable: str) -> URL:
    """Return the URL of a proxy, of which many write host and port alone."""
    try:
        found = URL(given if "://" in given else f"http://{given.lstrip('/')}")
        usable = found.scheme in PORTS and bool(found.host)
    except ValueError:
        usable = False
    if not usable:
        raise Unusable(
            f"{variable} of the environment is no URL of an HTTP proxy, such as http://proxy.example.com:3128; correct "
            "it, or name the storage in NO_PROXY"
        )
    return found


def _variable(environment: Mapping[str, str], name: str) -> str:
    """Return a variable; the one in capitals first."""
    return (environment.get(name.upper()) or environment.get(name) or "").strip()
