"""A client of Redis: one server, a cluster, or the server that Sentinels name.

Source: go-redis' ``UniversalOptions``, by which Distribution 3 and GitLab's fork decide which of the three it is.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from redis.asyncio import BlockingConnectionPool, Connection, Redis, RedisCluster, SSLConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ExponentialBackoff

from matou.registry.descriptors.base import CacheSetupError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from matou.config.sections.redis import RedisServer, RedisTls

PATIENCE = 1.0  # seconds for a command, connecting included; an object storage has answered by then
CONNECTIONS = 10  # of a worker: a command takes less than a millisecond


class RedisClient(Protocol):
    """What is used of the library's clients."""

    def get(self, name: str) -> Awaitable[Any]:
        """Return the bytes of a key, or None."""
        ...

    def set(self, name: str, value: str, *, ex: int) -> Awaitable[Any]:
        """Set a key for so many seconds."""
        ...

    def delete(self, *names: str) -> Awaitable[Any]:
        """Delete keys."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


def open_client(server: RedisServer) -> RedisClient:
    """Return a client; it connects when it is used first.

    Raises:
        CacheSetupError: a file of ``redis.tls`` cannot be used.
    """
    options = _options(server)
    if server.is_cluster:
        nodes = [ClusterNode(host, port) for host, port in server.addresses]
        tls = {} if server.tls is None else {"ssl": True, **tls_options(server.tls)}
        return RedisCluster(startup_nodes=nodes, max_connections=server.connections or CONNECTIONS, **options, **tls)
    if server.main_name:
        return _SentinelClient(server, options)
    host, port = server.addresses[0]
    tls = {} if server.tls is None else tls_options(server.tls)
    pool = BlockingConnectionPool(
        max_connections=server.connections or CONNECTIONS,
        timeout=_at_most_patience(server.pool_timeout),
        connection_class=Connection if server.tls is None else SSLConnection,
        host=host,
        port=port,
        db=server.db,
        **options,
        **tls,
    )
    return Redis.from_pool(pool)


class _SentinelClient:
    """A client of the server that Sentinels name, which closes the connections to these as well."""

    def __init__(self, server: RedisServer, options: dict[str, Any]) -> None:
        tls = {} if server.tls is None else {"ssl": True, **tls_options(server.tls)}
        self._sentinel = Sentinel(  # type: ignore[no-untyped-call]  # the library's
            server.addresses,
            sentinel_kwargs={
                **options,
                **tls,
                "username": server.sentinel_username or None,
                "password": server.sentinel_password or None,
            },
            **options,
            **tls,
        )
        self._client = self._sentinel.master_for(
            server.main_name, db=server.db, max_connections=server.connections or CONNECTIONS
        )
        self.get, self.set, self.delete = self._client.get, self._client.set, self._client.delete

    async def aclose(self) -> None:
        """See ``RedisClient.aclose``."""
        await self._client.aclose()
        for sentinel in self._sentinel.sentinels:
            await sentinel.aclose()


def _options(server: RedisServer) -> dict[str, Any]:
    options: dict[str, Any] = {
        "username": server.username or None,
        "password": server.password or None,
        "protocol": server.protocol,
        "client_name": server.client_name or None,
        "socket_connect_timeout": _at_most_patience(server.dial_timeout),
        "socket_timeout": _at_most_patience(server.timeout),
        "retry": Retry(ExponentialBackoff(cap=server.longest_backoff, base=server.least_backoff), server.retries),
    }
    if not server.tells_library:
        options["driver_info"] = None
    return options


def _at_most_patience(seconds: float) -> float:
    return min(seconds or PATIENCE, PATIENCE)


def tls_options(tls: RedisTls) -> dict[str, Any]:
    """Return the library's options; what it reads later is tried now, so that a mistake shows at the start.

    Raises:
        CacheSetupError: a file cannot be used.
    """
    options: dict[str, Any] = {
        "ssl_cert_reqs": "none" if tls.insecure else "required",
        "ssl_check_hostname": not tls.insecure,
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,
    }
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.certificate:
        try:
            context.load_cert_chain(tls.certificate, tls.key)
        except (OSError, ValueError) as error:
            raise CacheSetupError(
                f"redis.tls.certificate {tls.certificate} and redis.tls.key {tls.key} cannot be used: {error}; "
                "expected PEM files of a certificate and its key"
            ) from error
        options |= {"ssl_certfile": tls.certificate, "ssl_keyfile": tls.key}
    authorities = []
    for key, path in tls.authorities:
        try:
            authorities.append(Path(path).read_text("ascii"))
            context.load_verify_locations(cadata=authorities[-1])
        except (OSError, ValueError) as error:
            raise CacheSetupError(
                f"redis.tls.{key} {path} cannot be used: {error}; expected a PEM file with certificates"
            ) from error
    if authorities:
        options["ssl_ca_data"] = "\n".join(authorities)
    return options
