"""``redis``: the block of Distribution 2.8, that of Distribution 3 and that of GitLab, all at once."""

from __future__ import annotations

from dataclasses import dataclass

from matou.config.containers import ListOf
from matou.config.kinds import Boolean, Duration, Integer, Text
from matou.config.schema import Settings, section, setting


@dataclass(frozen=True, slots=True)
class RedisPool(Settings):
    """``redis.pool`` (Distribution 2.8, GitLab)."""

    maxidle: int = setting(Integer(0), 0, "most idle connections (2.8)")
    maxactive: int = setting(Integer(0), 0, "most connections (2.8)")
    idletimeout: float = setting(Duration(), 0.0, "until an idle connection is closed")
    size: int = setting(Integer(0), 0, "most connections (GitLab)")
    maxlifetime: float = setting(Duration(), 0.0, "until a connection is replaced (GitLab)")


@dataclass(frozen=True, slots=True)
class RedisTls(Settings):
    """``redis.tls``."""

    enabled: bool = setting(Boolean(), default=False, doc="`true`: TLS (2.8, GitLab)")
    insecure: bool = setting(Boolean(), default=False, doc="`true`: don't check the certificate (GitLab)")
    certificate: str = setting(Text(), "", "PEM file of the client (3)")
    key: str = setting(Text(), "", "PEM file with its private key (3)")
    rootcas: tuple[str, ...] = setting(ListOf(Text()), (), "PEM files of the authorities (3)")


@dataclass(frozen=True, slots=True)
class RedisInstance(Settings):
    """``redis.cache``, ``redis.ratelimiter`` and ``redis.loadbalancing`` (GitLab)."""

    enabled: bool = setting(Boolean(), default=False, doc="`true`: use it")
    addr: str = setting(Text(), "", "host:port, or several with commas between them")
    mainname: str = setting(Text(), "", "name of the main server, for Sentinel")
    username: str = setting(Text(), "", "account")
    password: str = setting(Text(), "", "its password", secret=True)
    db: int = setting(Integer(0), 0, "number of the database")
    dialtimeout: float = setting(Duration(), 0.0, "to connect")
    readtimeout: float = setting(Duration(), 0.0, "to read")
    writetimeout: float = setting(Duration(), 0.0, "to write")
    sentinelusername: str = setting(Text(), "", "account on Sentinel")
    sentinelpassword: str = setting(Text(), "", "its password", secret=True)
    tls: RedisTls = section(RedisTls, "of the connection")
    pool: RedisPool = section(RedisPool, "of connections")


@dataclass(frozen=True, slots=True)
class Redis(Settings):
    """``redis``."""

    INLINED = frozenset(("OPTIONS",))  # Distribution 3's REGISTRY_REDIS_OPTIONS_PASSWORD

    addr: str = setting(Text(), "", "host:port, or several with commas between them (2.8, GitLab)")
    addrs: tuple[str, ...] = setting(ListOf(Text()), (), "host:port of each server (3)")
    mainname: str = setting(Text(), "", "name of the main server, for Sentinel (GitLab)")
    mastername: str = setting(Text(), "", "name of the main server, for Sentinel (3)")
    username: str = setting(Text(), "", "account")
    password: str = setting(Text(), "", "its password", secret=True)
    sentinelusername: str = setting(Text(), "", "account on Sentinel")
    sentinelpassword: str = setting(Text(), "", "its password", secret=True)
    db: int = setting(Integer(0), 0, "number of the database")
    protocol: int = setting(Integer(0, 3), 0, "of Redis: 2 or 3 (3)")
    clientname: str = setting(Text(), "", "shown by Redis (3)")
    dialtimeout: float = setting(Duration(), 0.0, "to connect")
    readtimeout: float = setting(Duration(negative=True), 0.0, "to read")
    writetimeout: float = setting(Duration(negative=True), 0.0, "to write")
    contexttimeoutenabled: bool = setting(Boolean(), default=False, doc="requests end commands (3)")
    maxretries: int = setting(Integer(-1), 0, "of a command (3)")
    minretrybackoff: float = setting(Duration(negative=True), 0.0, "least wait between retries (3)")
    maxretrybackoff: float = setting(Duration(negative=True), 0.0, "longest wait between retries (3)")
    poolfifo: bool = setting(Boolean(), default=False, doc="oldest connection first (3)")
    poolsize: int = setting(Integer(0), 0, "most connections (3)")
    pooltimeout: float = setting(Duration(), 0.0, "to get a connection (3)")
    minidleconns: int = setting(Integer(0), 0, "least idle connections (3)")
    maxidleconns: int = setting(Integer(0), 0, "most idle connections (3)")
    maxactiveconns: int = setting(Integer(0), 0, "most connections (3)")
    connmaxidletime: float = setting(Duration(negative=True), 0.0, "until an idle connection is closed (3)")
    connmaxlifetime: float = setting(Duration(negative=True), 0.0, "until a connection is replaced (3)")
    maxredirects: int = setting(Integer(-1), 0, "in a cluster (3)")
    readonly: bool = setting(Boolean(), default=False, doc="read from replicas (3)")
    routebylatency: bool = setting(Boolean(), default=False, doc="read from the nearest (3)")
    routerandomly: bool = setting(Boolean(), default=False, doc="read from any (3)")
    disableidentity: bool = setting(Boolean(), default=False, doc="don't tell Redis the library (3)")
    disableindentity: bool = setting(Boolean(), default=False, doc="older spelling of `disableidentity` (3.0)")
    identitysuffix: str = setting(Text(), "", "added to the library's name (3)")
    unstableresp3: bool = setting(Boolean(), default=False, doc="unfinished parts of protocol 3 (3)")
    isclustermode: bool = setting(Boolean(), default=False, doc="the one address is a cluster (3)")
    tls: RedisTls = section(RedisTls, "of the connection")
    pool: RedisPool = section(RedisPool, "of connections (2.8, GitLab)")
    cache: RedisInstance = section(RedisInstance, "cache of the metadata database (GitLab)")
    ratelimiter: RedisInstance = section(RedisInstance, "counts of the rate limiter (GitLab)")
    loadbalancing: RedisInstance = section(RedisInstance, "positions of database replicas (GitLab)")
    load_balancing: RedisInstance = section(RedisInstance, "another spelling of `loadbalancing` (GitLab)")

    @property
    def is_wanted(self) -> bool:
        """Whether the section names a server, or a use of one."""
        uses = (self.cache, self.ratelimiter, self.loadbalancing, self.load_balancing)
        return bool(self.addr or self.addrs) or any(use.enabled for use in uses)
