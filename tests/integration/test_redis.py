"""The blob-descriptor cache in real Redis: one server, TLS, Sentinel, a cluster, and one that fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from matou.registry.content.digest import Digest
from matou.registry.descriptors.base import LIFETIME, CacheSetupError
from matou.registry.descriptors.factory import check_cache
from matou.registry.descriptors.redis_cache import REST, RedisCache
from matou.registry.descriptors.redis_client import open_client
from matou.registry.observe.figures import Layout
from matou.registry.observe.storage_figures import CacheFigures
from tests.servers.authority import Authority
from tests.servers.redis import RedisServer, running_redis
from tests.servers.waiting import wait_until
from tests.unit.config.reading import parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from matou.config.distribution import Configuration

FIRST, SECOND = Digest.of(b"1"), Digest.of(b"2")
PASSWORD = "hunter2-secret"


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def configured(section: str, bucket: str = "images") -> Configuration:
    return parse(
        f"version: 0.1\nstorage:\n  s3: {{region: eu-west-1, bucket: {bucket}}}\n"
        f"  cache: {{blobdescriptor: redis}}\nredis: {section}\n"
    )


class Rig:
    """A cache, made of a section of a configuration."""

    def __init__(self, section: str, *, bucket: str = "images", patience: float = 30.0) -> None:
        configuration = configured(section, bucket)
        assert configuration.redis.server is not None
        self.cells = [0] * Layout.size
        self.clock = Clock()
        self.cache = RedisCache(
            open_client(configuration.redis.server),
            configuration.storage.identity,
            CacheFigures(self.cells),
            patience=patience,
            clock=self.clock,
        )

    @property
    def counted(self) -> list[int]:
        """Requests, hits and errors."""
        return self.cells[Layout.descriptors : Layout.descriptors + 3]


@contextlib.asynccontextmanager
async def opened(section: str, **arguments: Any) -> AsyncIterator[Rig]:
    rig = Rig(section, **arguments)
    try:
        yield rig
    finally:
        await rig.cache.close()


async def works(rig: Rig) -> None:
    """Go through everything that a cache does."""
    cache = rig.cache
    assert await cache.size_of(FIRST) is None
    await cache.remember(FIRST, 5 << 30)
    await cache.remember(SECOND, 0)
    assert (await cache.size_of(FIRST), await cache.size_of(SECOND)) == (5 << 30, 0)
    await cache.forget(FIRST)
    await cache.forget(FIRST)
    assert (await cache.size_of(FIRST), await cache.size_of(SECOND)) == (None, 0)
    await cache.forget(SECOND)
    assert rig.counted == [5, 3, 0]


def failing(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings, none of which may have a secret."""
    assert PASSWORD not in caplog.text
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(server: RedisServer) -> RedisServer:
    """An empty one."""
    server.command("FLUSHALL")
    return server


@pytest.mark.parametrize(
    "options", ["", "protocol: 3", "db: 3, clientname: registry, disableidentity: true", "poolsize: 1"]
)
def test_one_server(options: str, redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with opened(f"{{addr: '{redis.address}', {options}}}") as rig:
            await asyncio.gather(*(rig.cache.size_of(FIRST) for _ in range(20)))
            assert rig.counted == [20, 0, 0]
        async with opened(f"{{addrs: ['{redis.address}'], {options}}}") as rig:
            await works(rig)

    asyncio.run(main())
    assert failing(caplog) == []


def test_what_all_caches_of_a_storage_share(redis: RedisServer) -> None:
    async def main() -> None:
        section = f"{{addr: '{redis.address}'}}"
        async with opened(section) as one, opened(section) as two, opened(section, bucket="others") as other:
            await one.cache.remember(FIRST, 5)
            assert await two.cache.size_of(FIRST) == 5
            assert await other.cache.size_of(FIRST) is None
            await two.cache.forget(FIRST)
            assert await one.cache.size_of(FIRST) is None

    asyncio.run(main())


def test_entries_end_by_themselves_and_are_marked_as_ours(redis: RedisServer) -> None:
    async def main() -> None:
        async with opened(f"{{addr: '{redis.address}'}}") as rig:
            await rig.cache.remember(FIRST, 5)

    asyncio.run(main())
    (key,) = redis.keys()
    assert key.startswith("matou:blob:")
    assert key.endswith(f":{FIRST}")
    assert redis.command("GET", key) == "5"
    assert 0 < redis.command("TTL", key) <= LIFETIME


@pytest.mark.parametrize("value", ["", "x", "-1", "5 ", "٣"])
def test_what_is_no_size_is_unknown(value: str, redis: RedisServer) -> None:
    async def main() -> None:
        async with opened(f"{{addr: '{redis.address}'}}") as rig:
            await rig.cache.remember(FIRST, 5)
            (key,) = redis.keys()
            redis.command("SET", key, value)
            assert await rig.cache.size_of(FIRST) is None
            redis.command("DEL", key)
            redis.command("RPUSH", key, "5")
            assert await rig.cache.size_of(FIRST) is None

    asyncio.run(main())


def test_a_server_that_dies_and_comes_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main(redis: RedisServer) -> None:
        async with opened(f"{{addr: '{redis.address}'}}") as rig:
            await rig.cache.remember(FIRST, 5)
            redis.stop()
            assert await rig.cache.size_of(FIRST) is None
            assert rig.counted == [1, 0, 1]
            # It is left alone for a while.
            redis.start()
            await rig.cache.remember(FIRST, 6)
            rig.clock.now += REST - 1
            assert await rig.cache.size_of(FIRST) is None
            assert rig.counted == [2, 0, 1]
            rig.clock.now += 1
            await rig.cache.remember(FIRST, 7)
            assert await rig.cache.size_of(FIRST) == 7
            redis.stop()
            await rig.cache.forget(FIRST)
            rig.clock.now += REST
            await rig.cache.forget(FIRST)
            assert rig.counted == [3, 1, 3]

    caplog.set_level(logging.INFO, "matou.registry")
    with running_redis(tmp_path) as redis:
        asyncio.run(main(redis))
    # Once each time.
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]
    assert "the blob-descriptor cache in Redis fails: Error " in caplog.text
    assert "the blob-descriptor cache in Redis answers again" in caplog.text


def test_a_server_that_does_not_answer(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with opened(f"{{addr: '{redis.address}'}}", patience=0.2) as rig:
            await rig.cache.remember(FIRST, 5)
            redis.pause()
            try:
                assert await rig.cache.size_of(FIRST) is None
            finally:
                redis.go_on()
            assert rig.counted == [1, 0, 1]
            rig.clock.now += REST
            # What the server answers now to the question from before is nobody's answer.
            await rig.cache.remember(SECOND, 6)
            assert await rig.cache.size_of(SECOND) == 6
            assert await rig.cache.size_of(FIRST) == 5

    asyncio.run(main())
    assert failing(caplog) == [
        "the blob-descriptor cache in Redis fails: no answer within 0.2 s; storage is asked meanwhile"
    ]


def test_accounts(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    redis.command("ACL", "SETUSER", "registry", "on", f">{PASSWORD}", "~matou:blob:*", "+@all")

    async def main() -> None:
        async with opened(f"{{addr: '{redis.address}', username: registry, password: {PASSWORD}}}") as rig:
            await works(rig)
        assert failing(caplog) == []
        async with opened(f"{{addr: '{redis.address}', username: registry, password: {PASSWORD}x}}") as rig:
            assert await rig.cache.size_of(FIRST) is None

    asyncio.run(main())
    (found,) = failing(caplog)
    assert "invalid username-password pair or user is disabled; correct the section redis of the" in found


def test_tls(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority, stranger = Authority(tmp_path, "ca"), Authority(tmp_path, "stranger")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate, private = authority.issue("server", key)
    client, client_key = authority.issue("client", key)
    options = [f"tls-cert-file {certificate}", f"tls-key-file {private}", f"tls-ca-cert-file {authority.path}"]
    arguments: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(authority.path)}
    arguments |= {"ssl_certfile": str(client), "ssl_keyfile": str(client_key)}
    server = RedisServer(tmp_path, options, **arguments)
    server._options += ["port 0", f"tls-port {server.port}", "tls-auth-clients yes"]
    ours = f"certificate: {client}, key: {client_key}"

    async def main() -> None:
        for trust in (
            f"rootcas: [{stranger.path}, {authority.path}]",
            f"clientcas: [{authority.path}]",
            "enabled: true, insecure: true",
        ):
            async with opened(f"{{addr: '{server.address}', tls: {{{ours}, {trust}}}}}") as rig:
                await works(rig)
        assert failing(caplog) == []
        for trust in (f"{ours}, rootcas: [{stranger.path}]", f"rootcas: [{authority.path}]", f"{ours}, enabled: true"):
            async with opened(f"{{addr: '{server.address}', maxretries: -1, tls: {{{trust}}}}}") as rig:
                assert await rig.cache.size_of(FIRST) is None
                assert rig.counted == [1, 0, 1]

    try:
        server.start()
        asyncio.run(main())
    finally:
        server.stop()
    assert len(failing(caplog)) == 3


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        ("rootcas: [{missing}]", "redis.tls.rootcas {missing} cannot be used: [Errno 2]"),
        ("clientcas: [{missing}]", "redis.tls.clientcas {missing} cannot be used: [Errno 2]"),
        ("rootcas: [{other}]", "redis.tls.rootcas {other} cannot be used: "),
        ("certificate: {missing}, key: {other}", "redis.tls.certificate {missing} and redis.tls.key {other} cannot be"),
        (
            "certificate: {other}, key: {other}",
            "redis.tls.certificate {other} and redis.tls.key {other} cannot be used",
        ),
    ],
)
def test_files_that_cannot_be_used_show_at_the_start(tls: str, message: str, tmp_path: Path) -> None:
    names = {"missing": tmp_path / "missing", "other": tmp_path / "other"}
    names["other"].write_text("no certificate")
    with pytest.raises(CacheSetupError) as caught:
        check_cache(configured(f"{{addr: a, tls: {{{tls.format(**names)}}}}}"))
    assert str(caught.value).startswith(message.format(**names))


def test_sentinels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running_redis(tmp_path, [f"requirepass {PASSWORD}"], password=PASSWORD) as main_server:
        options = [f"sentinel monitor main 127.0.0.1 {main_server.port} 1", f"sentinel auth-pass main {PASSWORD}"]
        with running_redis(tmp_path, options, sentinel=True) as sentinel, running_redis(tmp_path) as dead:
            dead.stop()
            section = f"addr: '{dead.address},{sentinel.address}', password: {PASSWORD}, db: 2"

            async def main() -> None:
                async with opened(f"{{{section}, mainname: main}}") as rig:
                    await works(rig)
                    assert failing(caplog) == []
                async with opened(f"{{{section}, mastername: other}}") as rig:
                    assert await rig.cache.size_of(FIRST) is None
                    assert rig.counted == [1, 0, 1]

            asyncio.run(main())
    (found,) = failing(caplog)
    assert "other" in found


def test_a_cluster(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = ["cluster-enabled yes", "cluster-announce-ip 127.0.0.1"]
    with running_redis(tmp_path, [*options, "cluster-config-file a.conf"]) as node:
        node.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        wait_until(lambda: "cluster_state:ok" in str(node.command("CLUSTER", "INFO")), log=node.log)
        for section in (
            f"{{addrs: ['{node.address}'], isclustermode: true}}",
            f"{{addr: '{node.address},127.0.0.1:1', poolsize: 4}}",
        ):

            async def main(section: str = section) -> None:
                async with opened(section) as rig:
                    await works(rig)

            asyncio.run(main())
    assert failing(caplog) == []
