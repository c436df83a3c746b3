"""``WWW-Authenticate`` values.

Sources: RFC 7235, RFC 6750 section 3, RFC 7617, Docker's token specification, and Distribution's order of parameters.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from matou.jwt.scope import render_scopes

if TYPE_CHECKING:
    from matou.registry.auth.base import Access, Origin

_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,253})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


def bearer_challenge(
    realm: str, service: str, wanted: tuple[Access, ...], error: str = "", description: str = ""
) -> str:
    """Return the challenge that sends a client to its token service.

    Args:
        realm: URL of the token service.
        service: name of this registry as the service knows it.
        wanted: becomes ``scope``, which is left out when nothing is wanted.
        error: ``invalid_token``, ``insufficient_scope``, or "" for a request without token.
        description: of the error, for people: Docker, Podman, Skopeo and Buildah show it, which is all that they can
            show of an answer to HEAD.
    """
    parts = [f"Bearer realm={_quoted(realm)}", f"service={_quoted(service)}"]
    if wanted:
        parts.append(f"scope={_quoted(render_scopes(wanted))}")
    if error:
        parts.append(f"error={_quoted(error)}")
    if description:
        parts.append(f"error_description={_quoted(description)}")
    return ",".join(parts)


def basic_challenge(realm: str) -> str:
    """Return the challenge that asks for a user name and password."""
    return f"Basic realm={_quoted(realm)}"


def redirected_realm(origin: Origin, path: str) -> str | None:
    """Return the token service's URL on the host that the request named (``autoredirect``).

    Returns:
        None when that host is not one: what a client sends as ``Host`` must not become part of a header unchecked.
    """
    if not _HOST.fullmatch(origin.host):
        return None
    # Distribution assumes TLS unless a proxy says otherwise; so do we for anything but plain HTTP.
    scheme = "http" if origin.scheme == "http" else "https"
    return f"{scheme}://{origin.host}{path}"


def _quoted(text: str) -> str:
    """Make a quoted-string of RFC 7230; characters that no header may have become question marks."""
    safe = "".join(character if " " <= character <= "~" else "?" for character in text)
    return '"' + safe.replace("\\", "\\\\").replace('"', '\\"') + '"'
