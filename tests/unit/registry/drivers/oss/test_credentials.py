from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from matou.config.sections.oss import OssParameters
from matou.registry.drivers.base import StorageError, Transient
from matou.registry.drivers.oss.credentials import credentials_of
from matou.registry.drivers.oss.instance_role import InstanceRole
from matou.registry.drivers.oss.temporary_key import EARLY
from tests.servers.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

PLACE: dict[str, Any] = {"region": "cn-hangzhou", "bucket": "images"}
ROLES = "/latest/meta-data/ram/security-credentials/"


class Metadata:
    """The metadata service of an ECS instance.

    Args:
        lifetime: seconds that keys are good.
    """

    def __init__(self, lifetime: float = 6 * 3600) -> None:
        self.lifetime = lifetime
        self.roles = "registry"
        self.status = 200
        self.is_hardened = True
        self.requests: Counter[str] = Counter()
        self.document: str | None = None

    async def handle(self, request: web.Request) -> web.Response:
        self.requests[request.path] += 1
        if self.status != 200:
            return web.Response(status=self.status)
        if request.path == "/latest/api/token":
            return web.Response(text="metadata-token") if self.is_hardened else web.Response(status=404)
        if self.is_hardened and request.headers.get("X-aliyun-ecs-metadata-token") != "metadata-token":
            return web.Response(status=403)
        if request.path == ROLES:
            return web.Response(text=f"{self.roles}\n") if self.roles else web.Response(status=404)
        if request.path == f"{ROLES}registry":
            return web.Response(text=self.document or self._key())
        return web.Response(status=404)

    def _key(self) -> str:
        expires = datetime.fromtimestamp(time.time() + self.lifetime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        number = self.requests[f"{ROLES}registry"]
        key = {"AccessKeyId": f"STS.{number}", "AccessKeySecret": "secret", "SecurityToken": "token"}
        return json.dumps({**key, "Expiration": expires, "Code": "Success"})


@asynccontextmanager
async def running(metadata: Metadata) -> AsyncIterator[InstanceRole]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", metadata.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield InstanceRole(f"http://127.0.0.1:{port}")
    finally:
        await runner.cleanup()


def with_role(metadata: Metadata, scenario: Callable[[InstanceRole], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with running(metadata) as role:
            await scenario(role)

    asyncio.run(whole())


def run(scenario: Coroutine[None, None, None]) -> None:
    asyncio.run(scenario)


def test_a_key_of_the_configuration_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", "of the environment")
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", "secret")
    given = credentials_of(OssParameters(accesskeyid="given", accesskeysecret="secret", **PLACE))
    run(given.refresh())
    assert given.get_credentials().access_key_id == "given"
    found = credentials_of(OssParameters(**PLACE))
    assert found.get_credentials().access_key_id == "of the environment"
    monkeypatch.delenv("OSS_ACCESS_KEY_SECRET")
    assert isinstance(credentials_of(OssParameters(**PLACE)), InstanceRole)


@pytest.mark.parametrize("is_hardened", [True, False])
def test_the_role_of_the_machine_gives_a_key(is_hardened: bool) -> None:
    metadata = Metadata()
    metadata.is_hardened = is_hardened

    async def scenario(role: InstanceRole) -> None:
        await asyncio.gather(*(role.refresh() for _ in range(5)))
        await role.refresh()
        found = role.get_credentials()
        assert (found.access_key_id, found.access_key_secret, found.security_token) == ("STS.1", "secret", "token")
        assert metadata.requests[f"{ROLES}registry"] == 1

    with_role(metadata, scenario)


def test_the_role_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA", "registry")
    metadata = Metadata()
    metadata.roles = "another"

    async def scenario(role: InstanceRole) -> None:
        await role.refresh()
        assert role.get_credentials().access_key_id == "STS.1"

    with_role(metadata, scenario)


def test_a_key_is_renewed_before_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matou.registry.drivers.oss.temporary_key.PAUSE", 0.0)
    metadata = Metadata(EARLY - 1)

    async def scenario(role: InstanceRole) -> None:
        await role.refresh()
        metadata.lifetime = 6 * 3600
        await role.refresh()
        await role.refresh()
        assert role.get_credentials().access_key_id == "STS.2"

    with_role(metadata, scenario)


def test_an_old_key_is_used_while_it_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matou.registry.drivers.oss.temporary_key.PAUSE", 0.0)
    metadata = Metadata(EARLY - 1)

    async def scenario(role: InstanceRole) -> None:
        await role.refresh()
        metadata.status = 500
        await role.refresh()
        assert role.get_credentials().access_key_id == "STS.1"

    with_role(metadata, scenario)


def test_a_key_that_has_expired_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matou.registry.drivers.oss.temporary_key.PAUSE", 0.0)
    metadata = Metadata(-1)

    async def scenario() -> None:
        async with running(metadata) as role:
            await role.refresh()
        with pytest.raises(Transient, match="does not answer"):
            await role.refresh()

    run(scenario())


@pytest.mark.parametrize(
    ("roles", "status", "document", "message"),
    [
        ("", 200, None, "no RAM role is attached to this machine"),
        ("another", 200, None, "no RAM role is attached to this machine"),
        ("registry", 503, None, "no RAM role is attached to this machine .its metadata service answers 503"),
        ("registry", 200, "no JSON", "gives no key for the RAM role 'registry'"),
        ("registry", 200, '{"Code": "Failed"}', "gives no key for the RAM role 'registry'"),
    ],
)
def test_a_machine_without_a_key_is_told_what_is_missing(
    roles: str, status: int, document: str | None, message: str
) -> None:
    metadata = Metadata()
    metadata.roles, metadata.status, metadata.document = roles, status, document

    async def scenario(role: InstanceRole) -> None:
        with pytest.raises(StorageError, match=message):
            await role.refresh()
        with pytest.raises(StorageError):
            role.get_credentials()

    with_role(metadata, scenario)


def test_a_machine_elsewhere_is_told_at_once() -> None:
    async def scenario() -> None:
        with pytest.raises(
            StorageError, match=r"there is no key in storage\.oss and none in the environment"
        ) as caught:
            await InstanceRole(f"http://127.0.0.1:{free_port()}").refresh()
        assert not isinstance(caught.value, Transient)

    run(scenario())
