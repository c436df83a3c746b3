"""Whether a server answers, and what to tell the person who waits for it."""

from __future__ import annotations

import http.client
import ipaddress
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from matou.cli.language import text as _
from matou.system.addresses import LOOPBACK_OF, reachable

if TYPE_CHECKING:
    from matou.config.installation import Installation

TIMEOUT = 1.0  # seconds


def answers(address: str, path: str, *statuses: HTTPStatus) -> bool:
    """Tell whether a server answers a GET with one of the statuses.

    Args:
        address: host:port where it listens.
        path: what to ask for.
        statuses: that mean that it works.
    """
    connection = http.client.HTTPConnection(*reachable(address), timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse().status in statuses
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def portal_is_ready(installation: Installation) -> bool:
    """Tell whether the portal serves requests."""
    return answers(installation.portal_addr, "/-/readiness", HTTPStatus.OK)


def registry_is_ready(installation: Installation) -> bool:
    """Tell whether the registry serves requests; with authentication 401 is its answer to strangers."""
    return answers(installation.registry_addr, "/v2/", HTTPStatus.OK, HTTPStatus.UNAUTHORIZED)


def welcome(installation: Installation, new_password: str | None) -> str:
    """Return what to do first.

    Args:
        installation: of this machine.
        new_password: the administrator's, when it was made just now.
    """
    scheme, _separator, name = installation.registry_url.partition("://")
    plain = " --tls-verify=false" if scheme == "http" else ""
    path = installation.initial_root_password
    if new_password is not None:
        password = _("{password}  (shown only now; also in {path})").format(password=new_password, path=path)
    elif path.exists():
        password = _("see {path}").format(path=path)
    else:
        password = _("as set at the first start")
    text = _(
        "\n"
        "Matou is running.\n"
        "  Portal         {portal}/\n"
        "  Registry       {registry}/v2/\n"
        "  Administrator  root\n"
        "  Password       {password}\n"
        "  Log in         docker login -u root {name}\n"
        "                 podman login{plain} -u root {name}\n"
        "  State          {home}\n"
        "Ctrl-C stops it.\n"
        "\n"
    ).format(
        portal=installation.portal_url,
        registry=installation.registry_url,
        password=password,
        name=name,
        plain=plain,
        home=installation.home,
    )
    return text + _stranded(installation)


def _stranded(installation: Installation) -> str:
    """Return what is wrong when others reach the registry, but not the portal that it sends them to for tokens."""
    portal = _host(installation.portal_url)
    if _is_loopback(_host(installation.registry_url)) or not (_is_loopback(portal) or portal in LOOPBACK_OF):
        return ""
    return _(
        "Nobody can log in from other machines: the registry sends clients to {portal} for tokens,\n"
        "which they cannot reach. Set MATOU_PORTAL_URL to the portal's address as clients know it,\n"
        "such as http://gitlab.example.com:8080, and MATOU_PORTAL_ADDR to where it listens.\n"
        "\n"
    ).format(portal=installation.portal_url)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
