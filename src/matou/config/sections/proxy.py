"""``proxy``: a mirror of another registry."""

from __future__ import annotations

from dataclasses import dataclass

from matou.config.kinds import Duration, Text
from matou.config.schema import Checked, Refused, Settings, optional, setting

HOUR = 3600.0
MIRROR = Checked("proxy.remoteurl")


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
    username: str = setting(Text(), "", "account there", status=MIRROR)
    password: str = setting(Text(), "", "its password", secret=True, status=MIRROR)
    exec: ProxyExec | None = optional(ProxyExec, "credentials from a program", status=MIRROR)
    ttl: float = setting(Duration(), 168 * HOUR, "how long content is kept; 0: for ever", status=MIRROR)
    cachewritetimeout: float = setting(Duration(), 300.0, "to write to the storage", status=MIRROR)
