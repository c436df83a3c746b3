"""``notifications``: events to web hooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from matou.config.containers import ListOf
from matou.config.kinds import Boolean, Duration, Integer, Text
from matou.config.schema import Checked, Refused, Section, Settings, section, setting
from matou.config.sections.http import HEADERS


@dataclass(frozen=True, slots=True)
class Events(Settings):
    """``notifications.events``."""

    includereferences: bool = setting(Boolean(), default=False, doc="`true`: events of manifests name what they hold")


@dataclass(frozen=True, slots=True)
class Ignore(Settings):
    """``notifications.endpoints[].ignore``."""

    mediatypes: tuple[str, ...] = setting(ListOf(Text()), (), "media types whose events are not sent")
    actions: tuple[str, ...] = setting(ListOf(Text()), (), "`push`, `pull`, `mount`, `delete`: not sent")


@dataclass(frozen=True, slots=True)
class Endpoint(Settings):
    """``notifications.endpoints[]``."""

    name: str = setting(Text(), "", "of the endpoint, unique")
    disabled: bool = setting(Boolean(), default=False, doc="`true`: as if it were not there")
    url: str = setting(Text(), "", "where events are posted", secret=True)
    headers: Mapping[str, tuple[str, ...]] = setting(HEADERS, {}, "of the request", secret=True)
    timeout: float = setting(Duration(negative=True), 1.0, "of a request; 0 or less: the default")
    threshold: int = setting(Integer(), 10, "failures in a row until it waits; 0 or less: the default")
    maxretries: int = setting(Integer(0), 5, "until an event is dropped; 0: never (GitLab)")
    backoff: float = setting(Duration(negative=True), 1.0, "wait after failures; 0 or less: the default")
    ignoredmediatypes: tuple[str, ...] = setting(ListOf(Text()), (), "as `ignore.mediatypes`")
    ignore: Ignore = section(Ignore, "events that are not sent")
    queuepurgetimeout: float = setting(Duration(), 5.0, "for the queue at the end (GitLab)")
    queuesizelimit: int = setting(Integer(0), 3000, "most events that wait (GitLab)")


@dataclass(frozen=True, slots=True)
class Notifications(Settings):
    """``notifications``."""

    events: Events = section(Events, "what events hold", go="EventConfig", status=Checked("notifications.endpoints"))
    fanouttimeout: float = setting(
        Duration(), 15.0, "to send what waits at the end (GitLab)", status=Checked("notifications.endpoints")
    )
    endpoints: tuple[Endpoint, ...] = setting(
        ListOf(Section(Endpoint)),
        (),
        "who gets events",
        status=Refused(
            "notifications",
            "remove the endpoint or set its disabled: true; a later version sends events",
            "an endpoint is not disabled",
            lambda endpoints: any(not endpoint.disabled for endpoint in endpoints),
        ),
    )
