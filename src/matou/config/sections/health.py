"""``health``: what makes the registry answer 503."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from matou.config.containers import ListOf
from matou.config.kinds import Boolean, Duration, Integer, Text
from matou.config.schema import NoEffect, Section, Settings, section, setting
from matou.config.sections.http import ADDRESS, HEADERS

INTERVAL = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class StorageHealth(Settings):
    """``health.storagedriver``."""

    enabled: bool = setting(Boolean(), default=False, doc="`true`: check that the storage answers")
    interval: float = setting(Duration(), INTERVAL, "between two checks; 0: the default")
    threshold: int = setting(Integer(0), 0, "failures in a row until it counts; 0 is the same as 1")


@dataclass(frozen=True, slots=True)
class DatabaseHealth(Settings):
    """``health.database`` (GitLab)."""

    enabled: bool = setting(Boolean(), default=False, doc="`true`: check that the database answers")
    interval: float = setting(Duration(), INTERVAL, "between two checks; 0: the default")
    threshold: int = setting(Integer(0), 0, "failures in a row until it counts; 0 is the same as 1")
    timeout: float = setting(Duration(), 0.0, "of a check; 0: none")


@dataclass(frozen=True, slots=True)
class FileHealth(Settings):
    """``health.file[]``."""

    file: str = setting(Text(), "", "path: unhealthy while it exists", required=True)
    interval: float = setting(Duration(), INTERVAL, "between two checks; 0: the default")
    threshold: int = setting(Integer(0), 0, "failures in a row until it counts; 0 is the same as 1")


@dataclass(frozen=True, slots=True)
class HttpHealth(Settings):
    """``health.http[]``."""

    uri: str = setting(Text(), "", "asked with HEAD", required=True)
    headers: Mapping[str, tuple[str, ...]] = setting(HEADERS, {}, "of the request", secret=True)
    statuscode: int = setting(Integer(0, 999), 200, "that is healthy; 0: 200")
    timeout: float = setting(Duration(), 0.0, "of a check; 0: none")
    interval: float = setting(Duration(), INTERVAL, "between two checks; 0: the default")
    threshold: int = setting(Integer(0), 0, "failures in a row until it counts; 0 is the same as 1")


@dataclass(frozen=True, slots=True)
class TcpHealth(Settings):
    """``health.tcp[]``."""

    addr: str = setting(ADDRESS, "", "host:port that must accept a connection", required=True)
    timeout: float = setting(Duration(), 0.0, "of a check; 0: none")
    interval: float = setting(Duration(), INTERVAL, "between two checks; 0: the default")
    threshold: int = setting(Integer(0), 0, "failures in a row until it counts; 0 is the same as 1")


@dataclass(frozen=True, slots=True)
class Health(Settings):
    """``health``."""

    storagedriver: StorageHealth = section(StorageHealth, "the storage")
    database: DatabaseHealth = section(
        DatabaseHealth,
        "the database (GitLab)",
        status=NoEffect(
            "`database` is not there; the index is a file beside the storage, which `storagedriver` checks"
        ),
    )
    file: tuple[FileHealth, ...] = setting(ListOf(Section(FileHealth)), (), "files", go="FileCheckers")
    http: tuple[HttpHealth, ...] = setting(ListOf(Section(HttpHealth)), (), "web services", go="HTTPCheckers")
    tcp: tuple[TcpHealth, ...] = setting(ListOf(Section(TcpHealth)), (), "TCP services", go="TCPCheckers")
