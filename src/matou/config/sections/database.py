"""``database``, ``gc`` and ``rate_limiter``: sections of GitLab's fork."""

from __future__ import annotations

from dataclasses import dataclass

from matou.config.containers import ListOf
from matou.config.kinds import Boolean, Choice, Decimal, Duration, Integer, Text
from matou.config.schema import NoEffect, Refused, Section, Settings, section, setting

MINUTE = 60.0
HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class DatabasePool(Settings):
    """``database.pool``."""

    maxidle: int = setting(Integer(), 0, "most idle connections")
    maxopen: int = setting(Integer(0), 0, "most connections; 0: no limit")
    maxlifetime: float = setting(Duration(), 0.0, "until a connection is replaced")
    maxidletime: float = setting(Duration(), 0.0, "until an idle connection is closed")


@dataclass(frozen=True, slots=True)
class BackgroundMigrations(Settings):
    """``database.backgroundmigrations``."""

    enabled: bool = setting(Boolean(), default=False, doc="`true`: change data in the background")
    maxjobretries: int = setting(Integer(0), 0, "of a job")
    jobinterval: float = setting(Duration(), MINUTE, "between two jobs")


@dataclass(frozen=True, slots=True)
class LoadBalancing(Settings):
    """``database.loadbalancing``."""

    enabled: bool = setting(Boolean(), default=False, doc="`true`: read from replicas")
    hosts: tuple[str, ...] = setting(ListOf(Text()), (), "the replicas")
    nameserver: str = setting(Text(), "", "that knows `record`")
    port: int = setting(Integer(0, 65535), 8600, "of the name server")
    record: str = setting(Text(), "", "SRV record of the replicas")
    replicacheckinterval: float = setting(Duration(), MINUTE, "between two looks")


@dataclass(frozen=True, slots=True)
class DatabaseMetrics(Settings):
    """``database.metrics``."""

    enabled: bool = setting(Boolean(), default=False, doc="`true`: measure the database")
    interval: float = setting(Duration(), 10.0, "between two measurements")
    leaseduration: float = setting(Duration(), 30.0, "of the one that measures")


@dataclass(frozen=True, slots=True)
class Discovery(Settings):
    """``database.discovery`` (older versions of GitLab)."""

    enabled: bool = setting(Boolean(), default=False, doc="`true`: find the primary by name service")
    nameserver: str = setting(Text(), "", "that knows `primaryrecord`")
    primaryrecord: str = setting(Text(), "", "name of the primary")
    port: str = setting(Text(), "", "of the name server")
    tcp: bool = setting(Boolean(), default=False, doc="`true`: ask it by TCP")


@dataclass(frozen=True, slots=True)
class Database(Settings):
    """``database``."""

    enabled: str = setting(
        Choice(
            ("false", "true", "prefer"),
            fold=True,
            aliases=(("no", "false"), ("off", "false"), ("yes", "true"), ("on", "true")),
        ),
        "false",
        "`true`: metadata in PostgreSQL; `prefer` is the same as `false` here, as what it prefers is not there",
        status=Refused(
            "metadata in PostgreSQL",
            "write enabled: false; the index is a SQLite file beside the storage tree",
            "it is `true`",
            lambda word: word == "true",
        ),
    )
    host: str = setting(Text(), "", "of PostgreSQL")
    port: int = setting(Integer(0, 65535), 5432, "of PostgreSQL")
    user: str = setting(Text(), "", "account")
    password: str = setting(Text(), "", "its password", secret=True)
    dbname: str = setting(Text(), "", "name of the database")
    sslmode: str = setting(
        Choice(("disable", "allow", "prefer", "require", "verify-ca", "verify-full")), "prefer", "how TLS is used"
    )
    sslcert: str = setting(Text(), "", "PEM file of the client")
    sslkey: str = setting(Text(), "", "PEM file with its private key")
    sslrootcert: str = setting(Text(), "", "PEM file of the authorities")
    connecttimeout: float = setting(Duration(), 0.0, "to connect; 0: none")
    draintimeout: float = setting(Duration(), 0.0, "to close connections at the end; 0: none")
    preparedstatements: bool = setting(Boolean(), default=False, doc="`true`: prepare statements on the server")
    primary: str = setting(Text(), "", "name of the primary")
    pool: DatabasePool = section(DatabasePool, "of connections")
    backgroundmigrations: BackgroundMigrations = section(BackgroundMigrations, "of data")
    loadbalancing: LoadBalancing = section(LoadBalancing, "over replicas")
    metrics: DatabaseMetrics = section(DatabaseMetrics, "of the database")
    discovery: Discovery = section(Discovery, "of the primary (older versions)")


@dataclass(frozen=True, slots=True)
class GcBlobs(Settings):
    """``gc.blobs``."""

    disabled: bool = setting(Boolean(), default=False, doc="`true`: blobs stay")
    interval: float = setting(Duration(), 5.0, "between two blobs")
    storagetimeout: float = setting(Duration(), 5.0, "to delete from the storage")


@dataclass(frozen=True, slots=True)
class GcManifests(Settings):
    """``gc.manifests``."""

    disabled: bool = setting(Boolean(), default=False, doc="`true`: manifests stay")
    interval: float = setting(Duration(), 5.0, "between two manifests")


@dataclass(frozen=True, slots=True)
class Gc(Settings):
    """``gc``."""

    disabled: bool = setting(Boolean(), default=False, doc="`true`: no collection")
    maxbackoff: float = setting(Duration(), 24 * HOUR, "longest wait when there is nothing to do")
    noidlebackoff: bool = setting(Boolean(), default=False, doc="`true`: don't wait longer when there is nothing to do")
    errorcooldownperiod: float = setting(Duration(), 0.0, "wait after an error")
    transactiontimeout: float = setting(Duration(), 10.0, "of a step")
    reviewafter: float = setting(Duration(negative=True), 24 * HOUR, "until something is looked at; -1: at once")
    blobs: GcBlobs = section(GcBlobs, "of blobs")
    manifests: GcManifests = section(GcManifests, "of manifests")


@dataclass(frozen=True, slots=True)
class LimiterMatch(Settings):
    """``rate_limiter.limiters[].match``."""

    type: str = setting(Text(), "IP", "what is counted by")


@dataclass(frozen=True, slots=True)
class LimiterLimit(Settings):
    """``rate_limiter.limiters[].limit``."""

    rate: int = setting(Integer(0), 0, "requests a period")
    period: str = setting(Text(), "second", "`second`, `minute` or `hour`")
    burst: int = setting(Integer(0), 0, "requests at once")


@dataclass(frozen=True, slots=True)
class LimiterAction(Settings):
    """``rate_limiter.limiters[].action``."""

    warn_threshold: float = setting(Decimal(), 0.0, "share of the limit from which it warns")
    warn_action: str = setting(Text(), "none", "`none` or `log`")
    hard_action: str = setting(Text(), "block", "`none`, `log` or `block`")


@dataclass(frozen=True, slots=True)
class Limiter(Settings):
    """``rate_limiter.limiters[]``."""

    name: str = setting(Text(), "", "of the limit")
    description: str = setting(Text(), "", "for people")
    log_only: bool = setting(Boolean(), default=False, doc="`true`: only log")
    precedence: int = setting(Integer(), 0, "lower is first")
    match: LimiterMatch = section(LimiterMatch, "which requests")
    limit: LimiterLimit = section(LimiterLimit, "how many")
    action: LimiterAction = section(LimiterAction, "what happens then")


@dataclass(frozen=True, slots=True)
class RateLimiter(Settings):
    """``rate_limiter``."""

    enabled: bool = setting(
        Boolean(),
        default=False,
        doc="`true`: limit requests",
        status=Refused("rate limits", "write enabled: false, and let the proxy before the registry limit requests"),
    )
    limiters: tuple[Limiter, ...] = setting(ListOf(Section(Limiter)), (), "the limits")


GC_STATUS = NoEffect("online collection needs `database`: without one GitLab's registry does not read `gc`, either")
