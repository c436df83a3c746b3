"""``proxy`` and ``middleware``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matou.config.containers import Anything, ListOf, MapOf
from matou.config.kinds import Boolean, Duration, Text
from matou.config.schema import Refused, Section, Settings, optional, setting

HOUR = 3600.0
MIDDLEWARE = Refused(
    "middleware",
    "remove the entry or set its disabled: true",
    "an entry is not disabled",
    lambda entries: any(not entry.disabled for entry in entries),
)


@dataclass(frozen=True, slots=True)
class ProxyExec(Settings):
    """``proxy.exec``."""

    command: str = setting(Text(), "", "program that prints credentials", required=True)
    lifetime: float | None = setting(Duration(), None, "how long they are good; 0: never; for ever unless given")


@dataclass(frozen=True, slots=True)
class Proxy(Settings):
    """``proxy``."""

    remoteurl: str = setting(
        Text(),
        "",
        "registry that is mirrored",
        status=Refused("a pull-through cache", "remove proxy, or keep your present registry for the mirror"),
    )
    username: str = setting(Text(), "", "account there")
    password: str = setting(Text(), "", "its password", secret=True)
    exec: ProxyExec | None = optional(ProxyExec, "credentials from a program")
    ttl: float = setting(Duration(), 168 * HOUR, "how long content is kept; 0: for ever")
    cachewritetimeout: float = setting(Duration(), 300.0, "to write to the storage")


@dataclass(frozen=True, slots=True)
class MiddlewareEntry(Settings):
    """``middleware.*[]``."""

    name: str = setting(Text(), "", "such as `cloudfront` or `redirect`", required=True)
    disabled: bool = setting(Boolean(), default=False, doc="`true`: as if it were not there")
    options: Mapping[str, Any] = setting(MapOf(Anything()), {}, "of the middleware", secret=True)


@dataclass(frozen=True, slots=True)
class Middleware(Settings):
    """``middleware``."""

    registry: tuple[MiddlewareEntry, ...] = setting(
        ListOf(Section(MiddlewareEntry)), (), "around the registry", status=MIDDLEWARE
    )
    repository: tuple[MiddlewareEntry, ...] = setting(
        ListOf(Section(MiddlewareEntry)), (), "around each repository", status=MIDDLEWARE
    )
    storage: tuple[MiddlewareEntry, ...] = setting(
        ListOf(Section(MiddlewareEntry)), (), "around the storage driver", status=MIDDLEWARE
    )
