"""The library ``requests``, with which vendors' libraries fetch tokens in a thread, as our own connections are.

Without this it takes proxies by rules of its own, logs in with what ``~/.netrc`` has for the host, and trusts other
certificates than the system's.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from yarl import URL

if TYPE_CHECKING:
    from matou.registry.drivers.proxies import Proxies


def proxied_session(proxies: Proxies) -> requests.Session:
    """Return a session, which must be closed.

    Args:
        proxies: that it goes through.
    """
    session = requests.Session()
    session.trust_env = False
    for scheme in ("http", "https"):
        session.mount(f"{scheme}://", _Adapter(proxies))
    return session


def system_authorities() -> str | bool:
    """Return where the system's certificates are, for the option ``verify``."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or True


class _Adapter(HTTPAdapter):
    """Sends requests through the proxy of their URL."""

    def __init__(self, proxies: Proxies) -> None:
        self._chosen = proxies
        super().__init__()

    def send(self, request: requests.PreparedRequest, **given: Any) -> requests.Response:  # type: ignore[override]
        """Send a request, whatever proxies the session has found."""
        url = request.url or ""
        proxy = self._chosen.of(url)
        given["proxies"] = {} if proxy is None else {URL(url).scheme: str(proxy)}
        return super().send(request, **given)
