"""``log``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matou.config.containers import Anything, ListOf, MapOf
from matou.config.kinds import Boolean, Choice, Text
from matou.config.schema import Refused, Section, Settings, section, setting

LEVELS = Choice(("error", "warn", "info", "debug"), fold=True, aliases=(("trace", "debug"),))


@dataclass(frozen=True, slots=True)
class AccessLog(Settings):
    """``log.accesslog``."""

    disabled: bool = setting(Boolean(), default=False, doc="`true`: no access log")
    formatter: str = setting(
        Choice(("text", "json")), "text", "`text` is Apache's combined format, on standard output (GitLab's key)"
    )


@dataclass(frozen=True, slots=True)
class Smtp(Settings):
    """``log.hooks[].options.smtp``."""

    addr: str = setting(Text(), "", "host:port of the mail server")
    username: str = setting(Text(), "", "account on the mail server")
    password: str = setting(Text(), "", "its password", secret=True)
    insecure: bool = setting(Boolean(), default=False, doc="`true`: don't check the server's certificate")


@dataclass(frozen=True, slots=True)
class MailOptions(Settings):
    """``log.hooks[].options``."""

    smtp: Smtp = section(Smtp, "the mail server")
    from_: str = setting(Text(), "", "sender", key="from")
    to: tuple[str, ...] = setting(ListOf(Text()), (), "receivers")


@dataclass(frozen=True, slots=True)
class LogHook(Settings):
    """``log.hooks[]``."""

    disabled: bool = setting(Boolean(), default=False, doc="`true`: as if it were not there")
    type: str = setting(Choice(("mail",)), "mail", "what is done")
    levels: tuple[str, ...] = setting(ListOf(Text()), (), "levels of the messages that are sent")
    options: MailOptions = section(MailOptions, "of the mail", go="MailOptions")


@dataclass(frozen=True, slots=True)
class Log(Settings):
    """``log``."""

    level: str = setting(LEVELS, "", "least level that is logged; `info` unless given; `trace` is the same as `debug`")
    formatter: str = setting(Choice(("text", "json", "logstash")), "text", "form of each line")
    fields: Mapping[str, Any] = setting(MapOf(Anything()), {}, "added to every line")
    output: str = setting(Choice(("stderr", "stdout")), "stderr", "where the log goes (GitLab's key)")
    reportcaller: bool = setting(Boolean(), default=False, doc="`true`: add file, line and function to every line")
    accesslog: AccessLog = section(AccessLog, "one line a request")
    hooks: tuple[LogHook, ...] = setting(
        ListOf(Section(LogHook)),
        (),
        "messages by mail",
        status=Refused(
            "log messages by mail",
            "let the log collector send alerts, and remove the hook or set its disabled: true",
            "a hook is not disabled",
            lambda hooks: any(not hook.disabled for hook in hooks),
        ),
    )
