"""What a cluster can, from its ``/info``.

Source: https://docs.openstack.org/swift/latest/api/discoverability.html; where the list is: python-swiftclient's
``get_capabilities``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

LISTING = 10_000  # names in a page, Swift's default
MANIFEST_SEGMENTS = 1000  # Swift's default
CONTAINER_KEYS = (2, 3)  # the first version whose containers have keys for temporary URLs, as Distribution has it
ALGORITHMS = ("sha256", "sha1")  # of signatures, the best first


@dataclass(frozen=True, slots=True)
class Cluster:
    """Abilities.

    Attributes:
        manifest_segments: that one static large object may name; 0: there are none.
        bulk_deletes: objects that one request may delete; 0: there is no such request.
        listing: names that a page may have.
        url_methods: of temporary URLs; none: there are no such URLs.
        url_algorithm: of their signatures.
        container_keys: whether a container may have a key for them.
    """

    manifest_segments: int = 0
    bulk_deletes: int = 0
    listing: int = LISTING
    url_methods: tuple[str, ...] = ()
    url_algorithm: str = "sha1"
    container_keys: bool = False


def info_url(account: str) -> str:
    """Return where a cluster tells what it can.

    Args:
        account: URL of an account in it.
    """
    return account.partition("/v1")[0] + "/info"


def cluster_of(content: bytes, methods: Sequence[str], *, container_keys: bool) -> Cluster:
    """Read what a cluster tells.

    Args:
        content: of ``/info``; empty when the cluster keeps it to itself.
        methods: of temporary URLs, in that case, from the configuration.
        container_keys: in that case, from the configuration.
    """
    try:
        told = json.loads(content)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        return Cluster(url_methods=tuple(methods), container_keys=container_keys)
    swift, urls = _section(told, "swift"), _section(told, "tempurl")
    digests = urls.get("allowed_digests", ["sha1"])
    algorithms = [name for name in ALGORITHMS if name in digests]
    return Cluster(
        manifest_segments=_number(_section(told, "slo"), "max_manifest_segments", MANIFEST_SEGMENTS)
        if "slo" in told
        else 0,
        bulk_deletes=_number(_section(told, "bulk_delete"), "max_deletes_per_request", 0),
        listing=_number(swift, "container_listing_limit", LISTING) or LISTING,
        url_methods=tuple(urls.get("methods", ())) if algorithms else (),
        url_algorithm=algorithms[0] if algorithms else "",
        container_keys=container_keys or _version(str(swift.get("version", ""))) >= CONTAINER_KEYS,
    )


def _section(told: dict[str, Any], name: str) -> dict[str, Any]:
    found = told.get(name)
    return found if isinstance(found, dict) else {}


def _number(section: dict[str, Any], name: str, default: int) -> int:
    found = section.get(name, default)
    return found if isinstance(found, int) and found >= 0 else default


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])
