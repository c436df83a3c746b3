"""``redis``: the block of Distribution 2.8, that of Distribution 3 and that of GitLab, all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matou.config.containers import ListOf
from matou.config.kinds import Boolean, Duration, Integer, Text
from matou.config.schema import Checked, NoEffect, Settings, section, setting

if TYPE_CHECKING:
    from matou.config.kinds import Place
    from matou.config.yaml_lines import Mapping

PORT = 6379
SENTINEL_PORT = 26379
LARGEST_PORT = 65535
KEPT_OPEN = NoEffect("connections stay open as long as Redis keeps them, and are made again when it has closed them")
NOT_FIRST = NoEffect("a connection that was used last is used first")
PRIMARY_ONLY = NoEffect("an entry is read where it is written: a replica may know less")
SHORT_ANYWAY = NoEffect("a command that takes longer than a second is given up in any case")


@dataclass(frozen=True, slots=True)
class RedisServer:
    """What the dialects come to.

    Attributes:
        addresses: host and port of the server; several are the nodes of a cluster, or Sentinels.
        main_name: name of the main server that Sentinels know; "" without them.
        is_cluster: whether the addresses are nodes of a cluster.
        username: account; "" for none.
        password: "" for none.
        sentinel_username: account on the Sentinels.
        sentinel_password: its password.
        db: number of the database.
        protocol: 2 or 3.
        client_name: shown by Redis; "" for none.
        tells_library: whether Redis is told of the library.
        dial_timeout: seconds to connect; 0 for the default.
        timeout: seconds to read or write; 0 for the default.
        retries: of a command.
        least_backoff: seconds before the first retry.
        longest_backoff: seconds before any retry.
        connections: most of them; 0 for the default.
        pool_timeout: seconds to get a connection; 0 for the default.
        tls: None without TLS.
    """

    addresses: tuple[tuple[str, int], ...]
    main_name: str
    is_cluster: bool
    username: str
    password: str
    sentinel_username: str
    sentinel_password: str
    db: int
    protocol: int
    client_name: str
    tells_library: bool
    dial_timeout: float
    timeout: float
    retries: int
    least_backoff: float
    longest_backoff: float
    connections: int
    pool_timeout: float
    tls: RedisTls | None


def split_addresses(texts: tuple[str, ...], port: int) -> tuple[tuple[str, int], ...]:
    """Return host and port of each address.

    Args:
        texts: ``host:port``, or several with commas between them.
        port: where none is given.

    Raises:
        ValueError: one is no address.
    """
    found = []
    for text in (part.strip() for several in texts for part in several.split(",")):
        host, separator, number = text.rpartition(":")
        if not separator or text.endswith("]"):
            host, number = text, str(port)
        host = host.removeprefix("[").removesuffix("]")
        if not host or "/" in host or not (number.isascii() and number.isdigit()) or int(number) > LARGEST_PORT:
            raise ValueError(f"{text!r} is no address; expected host:port")
        found.append((host, int(number)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class RedisPool(Settings):
    """``redis.pool`` (Distribution 2.8, GitLab)."""

    maxidle: int = setting(Integer(0), 0, "most idle connections (2.8)", status=KEPT_OPEN)
    maxactive: int = setting(Integer(0), 0, "most connections of a worker (2.8); 0: 10")
    idletimeout: float = setting(Duration(), 0.0, "until an idle connection is closed", status=KEPT_OPEN)
    size: int = setting(Integer(0), 0, "most connections of a worker (GitLab); 0: 10")
    maxlifetime: float = setting(Duration(), 0.0, "until a connection is replaced (GitLab)", status=KEPT_OPEN)


@dataclass(frozen=True, slots=True)
class RedisTls(Settings):
    """``redis.tls``."""

    enabled: bool = setting(
        Boolean(), default=False, doc="`true`: TLS (2.8, GitLab); the files below switch it on, too"
    )
    insecure: bool = setting(Boolean(), default=False, doc="`true`: don't check the certificate (GitLab)")
    certificate: str = setting(Text(), "", "PEM file of the client (3)")
    key: str = setting(Text(), "", "PEM file with its private key (3)")
    rootcas: tuple[str, ...] = setting(
        ListOf(Text()), (), "PEM files of the authorities (3); the system's without them"
    )

    clientcas: tuple[str, ...] = setting(ListOf(Text()), (), "name of `rootcas` in Distribution 3.0")

    @property
    def authorities(self) -> tuple[tuple[str, str], ...]:
        """The files of the authorities, each after its key."""
        return (*(("rootcas", path) for path in self.rootcas), *(("clientcas", path) for path in self.clientcas))

    @property
    def is_wanted(self) -> bool:
        """Whether connections use TLS."""
        return self.enabled or bool(self.certificate or self.key or self.authorities)

    def verify(self, node: Mapping, place: Place) -> RedisTls:
        """Ask for both files of a client's certificate."""
        for given, missing in (("certificate", "key"), ("key", "certificate")):
            if getattr(self, given) and not getattr(self, missing):
                place.child(missing).error(node.entries[given].origin, f"is missing; expected with redis.tls.{given}")
        return self


@dataclass(frozen=True, slots=True)
class RedisInstance(Settings):
    """``redis.cache``, ``redis.ratelimiter`` and ``redis.loadbalancing`` (GitLab)."""

    enabled: bool = setting(Boolean(), default=False, doc="`true`: use it")
    addr: str = setting(Text(), "", "host:port, or several with commas between them")
    mainname: str = setting(Text(), "", "name of the main server, for Sentinel")
    username: str = setting(Text(), "", "account")
    password: str = setting(Text(), "", "its password", secret=True)
    db: int = setting(Integer(0), 0, "number of the database")
    dialtimeout: float = setting(Duration(), 0.0, "to connect; a second at most")
    readtimeout: float = setting(Duration(), 0.0, "to read; a second at most")
    writetimeout: float = setting(Duration(), 0.0, "to write; a second at most")
    sentinelusername: str = setting(Text(), "", "account on Sentinel")
    sentinelpassword: str = setting(Text(), "", "its password", secret=True)
    tls: RedisTls = section(RedisTls, "of the connection")
    pool: RedisPool = section(RedisPool, "of connections")

    def verify(self, node: Mapping, place: Place) -> RedisInstance:
        """Check the addresses."""
        _check_addresses(self.addr, "addr", node, place)
        return self


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
    db: int = setting(Integer(0), 0, "number of the database; a cluster has only 0")
    protocol: int = setting(Integer(0, 3), 0, "of Redis: 2 or 3 (3)")
    clientname: str = setting(Text(), "", "shown by Redis (3)")
    dialtimeout: float = setting(Duration(), 0.0, "to connect; a second at most")
    readtimeout: float = setting(Duration(negative=True), 0.0, "to read; a second at most")
    writetimeout: float = setting(Duration(negative=True), 0.0, "to write; a second at most")
    contexttimeoutenabled: bool = setting(
        Boolean(), default=False, doc="requests end commands (3)", status=SHORT_ANYWAY
    )
    maxretries: int = setting(Integer(-1), 0, "of a command (3); 0: 3, -1: none")
    minretrybackoff: float = setting(Duration(negative=True), 0.0, "least wait between retries (3); 0: 8ms")
    maxretrybackoff: float = setting(Duration(negative=True), 0.0, "longest wait between retries (3); 0: 512ms")
    poolfifo: bool = setting(Boolean(), default=False, doc="oldest connection first (3)", status=NOT_FIRST)
    poolsize: int = setting(Integer(0), 0, "most connections of a worker (3); 0: 10")
    pooltimeout: float = setting(Duration(), 0.0, "to get a connection (3); a second at most")
    minidleconns: int = setting(Integer(0), 0, "least idle connections (3)", status=KEPT_OPEN)
    maxidleconns: int = setting(Integer(0), 0, "most idle connections (3)", status=KEPT_OPEN)
    maxactiveconns: int = setting(Integer(0), 0, "most connections of a worker (3), if fewer than `poolsize`")
    connmaxidletime: float = setting(
        Duration(negative=True), 0.0, "until an idle connection is closed (3)", status=KEPT_OPEN
    )
    connmaxlifetime: float = setting(
        Duration(negative=True), 0.0, "until a connection is replaced (3)", status=KEPT_OPEN
    )
    maxredirects: int = setting(Integer(-1), 0, "in a cluster (3)", status=SHORT_ANYWAY)
    readonly: bool = setting(Boolean(), default=False, doc="read from replicas (3)", status=PRIMARY_ONLY)
    routebylatency: bool = setting(Boolean(), default=False, doc="read from the nearest (3)", status=PRIMARY_ONLY)
    routerandomly: bool = setting(Boolean(), default=False, doc="read from any (3)", status=PRIMARY_ONLY)
    disableidentity: bool = setting(Boolean(), default=False, doc="don't tell Redis the library (3)")
    disableindentity: bool = setting(Boolean(), default=False, doc="older spelling of `disableidentity` (3.0)")
    identitysuffix: str = setting(
        Text(), "", "added to the library's name (3)", status=NoEffect("Redis is told another library anyway")
    )
    unstableresp3: bool = setting(
        Boolean(), default=False, doc="unfinished parts of protocol 3 (3)", status=NoEffect("none of them is used")
    )
    isclustermode: bool = setting(Boolean(), default=False, doc="the one address is a cluster (3)")
    tls: RedisTls = section(RedisTls, "of the connection")
    pool: RedisPool = section(RedisPool, "of connections (2.8, GitLab)")
    cache: RedisInstance = section(
        RedisInstance, "a server for caches (GitLab); used when `addr` and `addrs` are not given"
    )
    ratelimiter: RedisInstance = section(
        RedisInstance, "counts of the rate limiter (GitLab)", status=Checked("rate_limiter.enabled")
    )
    loadbalancing: RedisInstance = section(
        RedisInstance, "positions of database replicas (GitLab)", status=Checked("database.enabled")
    )
    load_balancing: RedisInstance = section(
        RedisInstance, "another spelling of `loadbalancing` (GitLab)", status=Checked("database.enabled")
    )

    def verify(self, node: Mapping, place: Place) -> Redis:
        """Check the addresses."""
        _check_addresses(self.addr, "addr", node, place)
        _check_addresses(",".join(self.addrs), "addrs", node, place)
        return self

    @property
    def server(self) -> RedisServer | None:
        """The server for caches, or None when no address is given."""
        if self.addr or self.addrs:
            return self._main_server()
        if self.cache.enabled and self.cache.addr:
            return self._cache_server()
        return None

    def _main_server(self) -> RedisServer:
        main_name = self.mastername or self.mainname
        texts = self.addrs or (self.addr,)
        addresses = split_addresses(texts, SENTINEL_PORT if main_name else PORT)
        return RedisServer(
            addresses=addresses,
            main_name=main_name,
            is_cluster=not main_name and (len(addresses) > 1 or self.isclustermode),
            username=self.username,
            password=self.password,
            sentinel_username=self.sentinelusername,
            sentinel_password=self.sentinelpassword,
            db=self.db,
            protocol=self.protocol or 2,
            client_name=self.clientname,
            tells_library=not (self.disableidentity or self.disableindentity),
            dial_timeout=self.dialtimeout,
            timeout=_shorter(self.readtimeout, self.writetimeout),
            retries=max(0, self.maxretries or 3),
            least_backoff=max(0.0, self.minretrybackoff or 0.008),
            longest_backoff=max(0.0, self.maxretrybackoff or 0.512),
            connections=int(_shorter(self.poolsize or self.pool.size or self.pool.maxactive, self.maxactiveconns)),
            pool_timeout=self.pooltimeout,
            tls=self.tls if self.tls.is_wanted else None,
        )

    def _cache_server(self) -> RedisServer:
        cache = self.cache
        addresses = split_addresses((cache.addr,), SENTINEL_PORT if cache.mainname else PORT)
        return RedisServer(
            addresses=addresses,
            main_name=cache.mainname,
            is_cluster=not cache.mainname and len(addresses) > 1,
            username=cache.username,
            password=cache.password,
            sentinel_username=cache.sentinelusername,
            sentinel_password=cache.sentinelpassword,
            db=cache.db,
            protocol=2,
            client_name="",
            tells_library=True,
            dial_timeout=cache.dialtimeout,
            timeout=_shorter(cache.readtimeout, cache.writetimeout),
            retries=3,
            least_backoff=0.008,
            longest_backoff=0.512,
            connections=cache.pool.size or cache.pool.maxactive,
            pool_timeout=0.0,
            tls=cache.tls if cache.tls.is_wanted else None,
        )


def _shorter(first: float, second: float) -> float:
    """Return the lesser of two numbers of which those not above 0 mean no limit."""
    return min((number for number in (first, second) if number > 0), default=0.0)


def _check_addresses(text: str, key: str, node: Mapping, place: Place) -> None:
    if text:
        try:
            split_addresses((text,), PORT)
        except ValueError as error:
            place.child(key).error(node.entries[key].origin, f"has an address that cannot be used: {error}")
