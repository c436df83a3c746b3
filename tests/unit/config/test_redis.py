"""The dialects of ``redis`` come to one server."""

from __future__ import annotations

import pytest

from tests.unit.config.reading import errors, parse, warnings

S3 = "version: 0.1\nstorage:\n  s3: {region: eu-west-1, bucket: images}\n"
CACHED = S3 + "  cache: {blobdescriptor: redis}\n"


def test_distribution_2() -> None:
    found = parse(
        CACHED
        + """\
redis:
  addr: localhost:6380
  password: asecret
  db: 3
  dialtimeout: 10ms
  readtimeout: 20ms
  writetimeout: 30ms
  pool: {maxidle: 16, maxactive: 64, idletimeout: 300s}
  tls: {enabled: false}
"""
    )
    assert found.warnings == ()
    server = found.redis.server
    assert server is not None
    assert server.addresses == (("localhost", 6380),)
    assert (server.is_cluster, server.main_name, server.tls) == (False, "", None)
    assert (server.username, server.password, server.db) == ("", "asecret", 3)
    assert (server.dial_timeout, server.timeout, server.connections) == (0.01, 0.02, 64)


def test_distribution_3() -> None:
    found = parse(
        CACHED
        + """\
redis:
  addrs: ["10.0.0.1:7000", "[fd00::1]:7001", "10.0.0.2"]
  username: u
  password: p
  protocol: 3
  clientname: registry
  maxretries: -1
  minretrybackoff: 10ms
  maxretrybackoff: 20ms
  poolsize: 64
  pooltimeout: 250ms
  maxactiveconns: 32
  maxidleconns: 16
  connmaxidletime: 300s
  disableindentity: true
  tls: {certificate: /c.pem, key: /k.pem, rootcas: [/a.pem, /b.pem]}
"""
    )
    server = found.redis.server
    assert server is not None
    assert server.addresses == (("10.0.0.1", 7000), ("fd00::1", 7001), ("10.0.0.2", 6379))
    assert server.is_cluster
    assert (server.protocol, server.client_name, server.tells_library) == (3, "registry", False)
    assert (server.retries, server.least_backoff, server.longest_backoff) == (0, 0.01, 0.02)
    assert (server.connections, server.pool_timeout) == (32, 0.25)
    assert server.tls is not None
    assert (server.tls.certificate, server.tls.key, server.tls.rootcas) == ("/c.pem", "/k.pem", ("/a.pem", "/b.pem"))


def test_distribution_3_0_has_another_name_of_authorities() -> None:
    found = parse(CACHED + "redis: {addrs: [a], tls: {clientcas: [/a.pem]}}\n")
    assert found.warnings == ()
    assert found.redis.server is not None
    assert found.redis.server.tls is not None
    assert found.redis.server.tls.authorities == (("clientcas", "/a.pem"),)


@pytest.mark.parametrize("name", ["mainname", "mastername"])
def test_sentinels(name: str) -> None:
    server = parse(
        f"{CACHED}redis: {{addr: 'a,b:26380', {name}: main, sentinelusername: s, sentinelpassword: t}}\n"
    ).redis.server
    assert server is not None
    assert server.addresses == (("a", 26379), ("b", 26380))
    assert (server.main_name, server.is_cluster) == ("main", False)
    assert (server.sentinel_username, server.sentinel_password) == ("s", "t")


def test_gitlab() -> None:
    found = parse(
        CACHED
        + """\
redis:
  cache:
    enabled: true
    addr: "redis.internal:6379"
    username: registry
    password: secret
    db: 2
    dialtimeout: 2s
    tls: {enabled: true, insecure: true}
    pool: {size: 10, maxlifetime: 1h, idletimeout: 300s}
"""
    )
    assert found.warnings == ()
    server = found.redis.server
    assert server is not None
    assert server.addresses == (("redis.internal", 6379),)
    assert (server.username, server.password, server.db, server.connections) == ("registry", "secret", 2, 10)
    assert server.tls is not None
    assert server.tls.insecure


def test_the_main_server_comes_first() -> None:
    server = parse(f"{CACHED}redis: {{addr: 'a:1', cache: {{enabled: true, addr: 'b:1'}}}}\n").redis.server
    assert server is not None
    assert server.addresses == (("a", 1),)


def test_one_address_may_be_a_cluster() -> None:
    server = parse(f"{CACHED}redis: {{addrs: ['a:1'], isclustermode: true}}\n").redis.server
    assert server is not None
    assert server.is_cluster


@pytest.mark.parametrize("redis", ["{}", "{password: p}", "{cache: {addr: 'a:1'}}", "{ratelimiter: {enabled: true}}"])
def test_a_cache_needs_a_server(redis: str) -> None:
    (found,) = errors(f"{CACHED}redis: {redis}\n")
    assert found.startswith("config.yml:3: redis names no server, and storage.cache.blobdescriptor is redis; expected ")


def test_the_old_name_of_the_cache_needs_a_server_too() -> None:
    (found,) = errors(f"{S3}  cache: {{layerinfo: redis}}\n")
    assert "names no server" in found


@pytest.mark.parametrize("redis", ["{addr: 'a:1'}", "{addrs: [a]}", "{cache: {enabled: true, addr: a}}"])
def test_a_server_that_nothing_uses(redis: str) -> None:
    for cache in ("", "  cache: {blobdescriptor: inmemory}\n"):
        (found,) = warnings(f"{S3}{cache}redis: {redis}\n")
        assert found.endswith(": redis is used by nothing: storage.cache.blobdescriptor is not redis")


def test_a_server_in_the_environment_that_nothing_uses() -> None:
    (found,) = warnings(S3, {"REGISTRY_REDIS_ADDR": "a:1"})
    assert "REGISTRY_REDIS_ADDR: redis is used by nothing" in found


def test_a_local_storage_needs_no_cache() -> None:
    (found,) = warnings("version: 0.1\nstorage: {filesystem: , cache: {blobdescriptor: redis}}\nredis: {addr: 'a:1'}\n")
    assert found == (
        "config.yml:2: storage.cache.blobdescriptor is redis, which is not used: filesystem says at once what it has"
    )


@pytest.mark.parametrize(
    ("redis", "message"),
    [
        ("{addr: 'redis://a'}", "redis.addr has an address that cannot be used: 'redis://a' is no address; expected h"),
        ("{addr: 'a:1,'}", "redis.addr has an address that cannot be used: '' is no address; expected host:port"),
        ("{addrs: ['a:x']}", "redis.addrs has an address that cannot be used: 'a:x' is no address; expected host:port"),
        ("{addr: 'a:65536'}", "redis.addr has an address that cannot be used: 'a:65536' is no address; expected host:"),
        ("{cache: {enabled: true, addr: ':1'}}", "redis.cache.addr has an address that cannot be used: ':1' is no add"),
        ("{addr: a, tls: {certificate: c}}", "redis.tls.key is missing; expected with redis.tls.certificate"),
        ("{addr: a, tls: {key: c}}", "redis.tls.certificate is missing; expected with redis.tls.key"),
    ],
)
def test_what_makes_no_sense(redis: str, message: str) -> None:
    (found,) = errors(f"{CACHED}redis: {redis}\n")
    assert f": {message}" in found
