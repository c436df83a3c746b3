"""``middleware``: additions around the registry, each repository and the storage driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matou.config.containers import Anything, ListOf, MapOf
from matou.config.kinds import Boolean, Choice, Duration, Mismatch, Text
from matou.config.schema import Refused, Section, Settings, setting

if TYPE_CHECKING:
    from matou.config.kinds import Place
    from matou.config.yaml_lines import Mapping as MappingNode

MINUTE = 60.0
HOUR = 3600.0
REFUSED = Refused(
    "middleware",
    "remove the entry or set its disabled: true",
    "an entry is not disabled",
    lambda entries: any(not entry.disabled for entry in entries),
)


@dataclass(frozen=True, slots=True)
class CloudfrontOptions(Settings):
    """Options of the storage middleware ``cloudfront``."""

    baseurl: str = setting(Text(), "", "URL of the distribution", required=True)
    privatekey: str = setting(Text(), "", "PEM file of the key", required=True)
    keypairid: str = setting(Text(), "", "id of the key", required=True)
    duration: float = setting(Duration(), 20 * MINUTE, "how long a URL is good")
    ipfilteredby: str = setting(Choice(("none", "aws", "awsregion")), "none", "who gets the bucket's own URL")
    awsregion: str = setting(Text(), "", "regions with commas between them, for `awsregion`")
    updatefrequency: float = setting(Duration(), 12 * HOUR, "of the address ranges")
    updatefrenquency: float = setting(Duration(), 12 * HOUR, "old spelling of `updatefrequency`")
    iprangesurl: str = setting(Text(), "", "of the address ranges")


@dataclass(frozen=True, slots=True)
class GoogleCdnOptions(Settings):
    """Options of the storage middleware ``googlecdn`` (GitLab)."""

    baseurl: str = setting(Text(), "", "URL of the load balancer", required=True)
    privatekey: str = setting(Text(), "", "file of the key", required=True)
    keyname: str = setting(Text(), "", "name of the key", required=True)
    duration: float = setting(Duration(), 20 * MINUTE, "how long a URL is good")
    ipfilteredby: str = setting(Choice(("none", "gcp")), "none", "who gets the bucket's own URL")
    updatefrequency: float = setting(Duration(), 12 * HOUR, "of the address ranges")
    iprangesurl: str = setting(Text(), "", "of the address ranges")


@dataclass(frozen=True, slots=True)
class RedirectOptions(Settings):
    """Options of the storage middleware ``redirect``."""

    baseurl: str = setting(Text(), "", "URL that clients are sent to", required=True)


@dataclass(frozen=True, slots=True)
class RewriteOptions(Settings):
    """Options of the storage middleware ``rewrite`` (Distribution 3)."""

    scheme: str = setting(Text(), "", "put into URLs")
    host: str = setting(Text(), "", "put into URLs")
    trimpathprefix: str = setting(Text(), "", "removed from paths")


@dataclass(frozen=True, slots=True)
class UrlCacheOptions(Settings):
    """Options of the storage middleware ``urlcache`` (GitLab)."""

    min_url_validity: float = setting(Duration(), 10 * MINUTE, "least that a cached URL must still be good")
    default_url_validity: float = setting(Duration(), 20 * MINUTE, "how long a URL is good")
    dry_run: bool = setting(Boolean(), default=False, doc="`true`: don't use what is cached")


OPTIONS: Mapping[str, type[Settings]] = {
    "cloudfront": CloudfrontOptions,
    "googlecdn": GoogleCdnOptions,
    "redirect": RedirectOptions,
    "rewrite": RewriteOptions,
    "urlcache": UrlCacheOptions,
}


@dataclass(frozen=True, slots=True)
class MiddlewareEntry(Settings):
    """``middleware.*[]``."""

    name: str = setting(Text(), "", "such as `cloudfront` or `redirect`", required=True)
    disabled: bool = setting(Boolean(), default=False, doc="`true`: as if it were not there")
    options: Mapping[str, Any] = setting(MapOf(Anything()), {}, "of the middleware", secret=True)

    def verify(self, node: MappingNode, place: Place) -> MiddlewareEntry:
        """Check the options of those that are known."""
        options, cls = node.entries.get("options"), OPTIONS.get(self.name)
        if options is not None and cls is not None:
            at = place.child("options")
            try:
                Section(cls).read(options, at)
            except Mismatch as error:
                at.error(options.origin, str(error))
        return self


@dataclass(frozen=True, slots=True)
class Middleware(Settings):
    """``middleware``."""

    registry: tuple[MiddlewareEntry, ...] = setting(
        ListOf(Section(MiddlewareEntry)), (), "around the registry", status=REFUSED
    )
    repository: tuple[MiddlewareEntry, ...] = setting(
        ListOf(Section(MiddlewareEntry)), (), "around each repository", status=REFUSED
    )
    storage: tuple[MiddlewareEntry, ...] = setting(
        ListOf(Section(MiddlewareEntry)), (), "around the storage driver", status=REFUSED
    )
