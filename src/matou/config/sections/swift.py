"""``storage.swift``: OpenStack Swift.

Source: Distribution 2.8's documentation and source of the driver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from matou.config.containers import ListOf
from matou.config.kinds import Boolean, Choice, Integer, Text
from matou.config.schema import NoEffect, Settings, setting

if TYPE_CHECKING:
    from matou.config.kinds import Place
    from matou.config.yaml_lines import Mapping as MappingNode

MIB = 1 << 20
VERSIONS = (3, 2, 1)  # of identity services, in the order in which they are looked for in a URL
ENDPOINT = Choice(
    ("public", "internal", "admin"),
    aliases=(("publicURL", "public"), ("internalURL", "internal"), ("adminURL", "admin")),
)  # of OpenStack's catalogues


LONGEST_CONTAINER = 256  # bytes


def _check_url(text: str) -> None:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("with http:// or https://, and a host")
    _ = parts.port  # raises where it is no number


def _check_container(text: str) -> None:
    if "/" in text:
        raise ValueError("without a slash; what follows it belongs in prefix")
    if len(text.encode()) > LONGEST_CONTAINER:
        raise ValueError(f"of no more than {LONGEST_CONTAINER} bytes")


@dataclass(frozen=True, slots=True)
class SwiftParameters(Settings):
    """``storage.swift`` (Distribution 2.8)."""

    username: str = setting(Text(), "", "account", required=True)
    password: str = setting(Text(), "", "its password", required=True, secret=True)
    authurl: str = setting(Text(_check_url, "a URL"), "", "URL of the identity service", required=True)
    container: str = setting(
        Text(_check_container, "the name of a container"), "", "its name; made when missing", required=True
    )
    tenant: str = setting(Text(), "", "project by name")
    tenantid: str = setting(Text(), "", "project by id")
    tenantdomain: str = setting(Text(), "", "domain of the project by name")
    tenantdomainid: str = setting(Text(), "", "domain of the project by id")
    domain: str = setting(Text(), "", "domain of the account by name")
    domainid: str = setting(Text(), "", "domain of the account by id")
    trustid: str = setting(Text(), "", "trust that is used")
    region: str = setting(Text(), "", "region of the container")
    authversion: int = setting(Integer(0, 3), 0, "version of the identity service; 0: by `v1`, `v2`, `v3` in its URL")
    prefix: str = setting(Text(), "", "of all names, before `/files` and `/segments`")
    rootdirectory: str = setting(
        Text(),
        "",
        "prefix of all names",
        status=NoEffect("Distribution does not look at it for swift: `prefix` does that"),
    )
    endpointtype: str = setting(ENDPOINT, "public", "which endpoint of the catalogue")
    insecureskipverify: bool = setting(Boolean(), default=False, doc="don't check certificates")
    chunksize: int = setting(Integer(MIB), 20 * MIB, "bytes of a segment; three are in memory for each upload")
    secretkey: str = setting(
        Text(), "", "signs temporary URLs; unless given the one that is set already, or one of Matou's", secret=True
    )
    accesskey: str = setting(Text(), "", "part of their signatures in HP's cloud", secret=True)
    tempurlcontainerkey: bool = setting(
        Boolean(), default=False, doc="the secret key is the container's, where the cluster does not tell its version"
    )
    tempurlmethods: tuple[str, ...] = setting(
        ListOf(Text()), (), "methods that temporary URLs allow, where the cluster does not tell"
    )

    @property
    def identity_version(self) -> int:
        """Version of the identity service; 0 when nothing tells."""
        named = (version for version in VERSIONS if f"v{version}" in self.authurl)
        return self.authversion or next(named, 0)

    def verify(self, node: MappingNode, place: Place) -> SwiftParameters:
        """Ask for the version of the identity service where its URL does not name it, and warn of what is ignored."""
        if self.authurl and not self.identity_version:
            place.child("authurl").error(
                node.key_origins["authurl"],
                "names no version (v1, v2, v3) of the identity service; expected one, or authversion beside it",
            )
        if self.rootdirectory:
            place.child("rootdirectory").warn(
                node.key_origins["rootdirectory"],
                "has no effect, as in Distribution's driver for swift: images lie below prefix",
            )
        return self

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells this storage from others; the container comes first."""
        root = self.prefix.lstrip("/")
        return self.container, self.authurl, self.tenant or self.tenantid or self.username, self.region, root
