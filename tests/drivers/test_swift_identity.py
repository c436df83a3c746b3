"""Who the swift driver is: tempauth of a real Swift, and Keystone in front of it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from matou.registry.drivers.base import StorageError, Transient
from tests.drivers.swift_containers import open_store, parameters
from tests.servers import keystone
from tests.servers.keystone import Keystone
from tests.servers.ports import free_port
from tests.servers.scripted_http import scripted_server
from tests.servers.swift import KEY, READER, READER_KEY, SwiftServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from matou.config.sections.swift import SwiftParameters
    from matou.registry.drivers.swift.store import SwiftStore
    from tests.servers.swift import SwiftContainer

BY_NAME = {"tenant": keystone.PROJECT, "tenantdomain": keystone.PROJECT_DOMAIN, "domain": keystone.DOMAIN}
BY_ID = {
    "tenantid": keystone.PROJECT_ID,
    "tenant": "of another name",
    "domainid": keystone.DOMAIN_ID,
    "tenantdomainid": keystone.PROJECT_DOMAIN_ID,
}


def run(given: SwiftParameters, scenario: Callable[[SwiftStore], Awaitable[None]]) -> None:
    async def whole() -> None:
        store = open_store(given)
        try:
            await scenario(store)
        finally:
            await store.close()

    asyncio.run(whole())


async def works(store: SwiftStore) -> None:
    await store.put("a", [b"1"])
    assert await store.get("a") == b"1"


class Cloud:
    """A Keystone with a Swift that a test asks as a driver does."""

    def __init__(self, swift: SwiftServer, url: str, service: Keystone) -> None:
        self.swift = swift
        self.url = url
        self.service = service

    def parameters(self, **given: Any) -> SwiftParameters:
        account = {"username": keystone.USER, "password": keystone.PASSWORD, "authurl": f"{self.url}/v3"}
        return parameters(self.swift, **(account | given))

    async def failure(self, **given: Any) -> str:
        """Return the message of a driver that cannot be opened."""
        store = open_store(self.parameters(**given))
        try:
            with pytest.raises(StorageError) as caught:
                await store.get("a")
        finally:
            await store.close()
        message = str(caught.value)
        assert keystone.PASSWORD not in message
        assert "\n" not in message
        return message


@asynccontextmanager
async def cloud(swift: SwiftServer) -> AsyncIterator[Cloud]:
    elsewhere = f"http://127.0.0.1:{free_port()}/v1/AUTH_nowhere"
    regions = {
        "one": {"public": elsewhere, "internal": elsewhere, "admin": elsewhere},
        "two": {"public": swift.storage_url, "internal": f"{swift.storage_url}/"},
    }
    service = Keystone(await asyncio.to_thread(lambda: swift.token), regions)
    async with scripted_server(service.answer) as server:
        yield Cloud(swift, server.url, service)


@pytest.mark.parametrize(
    ("given", "scope"),
    [
        (BY_NAME, {"project": {"name": keystone.PROJECT, "domain": {"name": keystone.PROJECT_DOMAIN}}}),
        (BY_ID, {"project": {"id": keystone.PROJECT_ID}}),
        (
            {"domain": keystone.DOMAIN, "tenant": "ignored", "trustid": keystone.TRUST},
            {"OS-TRUST:trust": {"id": keystone.TRUST}},
        ),
    ],
    ids=["names", "ids", "trust"],
)
@pytest.mark.parametrize("endpoint", ["public", "internal"])
def test_version_3(swift: SwiftServer, given: dict[str, str], scope: dict[str, Any], endpoint: str) -> None:
    async def scenario() -> None:
        async with cloud(swift) as there:
            store = open_store(there.parameters(region="two", endpointtype=endpoint, **given))
            try:
                await works(store)
                assert (await store._connection.open()).account.project == keystone.PROJECT_ID
            finally:
                await store.close()
            (asked,) = there.service.asked
            domain = {"id": keystone.DOMAIN_ID} if "domainid" in given else {"name": keystone.DOMAIN}
            user = {"name": keystone.USER, "password": keystone.PASSWORD, "domain": domain}
            password = {"methods": ["password"], "password": {"user": user}}
            assert asked == {"auth": {"identity": password, "scope": scope}}

    asyncio.run(scenario())


@pytest.mark.parametrize("given", [{"tenant": keystone.PROJECT}, {"tenantid": keystone.PROJECT_ID, "tenant": "x"}])
@pytest.mark.parametrize("version", [{"authurl": "{}/v2.0"}, {"authurl": "{}/v2.0/", "authversion": 2}])
def test_version_2(swift: SwiftServer, given: dict[str, str], version: dict[str, Any]) -> None:
    async def scenario() -> None:
        async with cloud(swift) as there:
            url = version["authurl"].format(there.url)
            store = open_store(there.parameters(**(version | {"authurl": url, "region": "two"} | given)))
            try:
                await works(store)
            finally:
                await store.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {**BY_NAME, "password": "wrong"},
            "refused the user 'registry' of the domain 'Shipping' (401); check",
        ),
        ({**BY_NAME, "domain": "Other"}, "refused the user 'registry' of the domain 'Other' (401)"),
        ({**BY_NAME, "tenant": "none"}, "refused the project 'none' of the domain 'Projects' to the user 'registry'"),
        ({**BY_NAME, "tenantdomain": "Other"}, "refused the project 'images' of the domain 'Other'"),
        ({**BY_NAME, "trustid": "none"}, "refused the trust 'none'"),
        ({**BY_NAME, "region": "three"}, "no public endpoint in the region 'three'"),
        ({**BY_NAME, "region": "two", "endpointtype": "admin"}, "but: admin in 'one', internal in 'one'"),
        ({"domain": keystone.DOMAIN}, "has no object-store: no public endpoint; name the project"),
        ({**BY_NAME, "authversion": 2, "password": "wrong"}, "cannot be used"),
        (
            {**BY_NAME, "authurl": "{}/v2.0", "password": "wrong"},
            "refused the user 'registry' (401); check",
        ),
        ({**BY_NAME, "authurl": "{}/v2.0", "tenant": "none"}, "refused the project 'none' to the user 'registry'"),
        ({**BY_NAME, "authurl": "{}/v1", "authversion": 1}, "without X-Storage-Url and X-Auth-Token of version 1"),
    ],
)
def test_a_refusal_of_keystone_says_why(swift: SwiftServer, given: dict[str, Any], said: str) -> None:
    async def scenario() -> None:
        async with cloud(swift) as there:
            url = given.get("authurl", "{}/v3").format(there.url)
            assert said in await there.failure(**(given | {"authurl": url}))

    asyncio.run(scenario())


def test_a_keystone_that_fails_is_asked_again(swift: SwiftServer) -> None:
    async def scenario() -> None:
        async with cloud(swift) as there:
            there.service.failures += [503, 500, 429]
            store = open_store(there.parameters(region="two", **BY_NAME))
            try:
                await works(store)
                there.service.failures += [503] * 50
                store._connection._account = None
                with pytest.raises(Transient, match=r"it answered 503"):
                    await store.get("a")
            finally:
                await store.close()

    asyncio.run(scenario())


def test_a_token_is_renewed_before_it_expires(swift: SwiftServer) -> None:
    async def scenario() -> None:
        async with cloud(swift) as there:
            there.service.lifetime = 2.0
            store = open_store(there.parameters(region="two", **BY_NAME))
            try:
                await works(store)
                renewals = len(there.service.asked)
                await asyncio.sleep(1.2)
                await works(store)
                assert len(there.service.asked) > renewals
            finally:
                await store.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("size", [1, 20 << 20])
def test_a_token_that_is_refused_is_renewed_once_for_all(
    swift_parameters: SwiftParameters, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(store: SwiftStore) -> None:
        await works(store)
        renewals = 0
        authenticate = store._connection._identity.authenticate

        async def counted(*given: Any) -> Any:
            nonlocal renewals
            renewals += 1
            return await authenticate(*given)

        monkeypatch.setattr(store._connection._identity, "authenticate", counted)
        assert store._connection._account is not None
        store._connection._account = store._connection._account._replace(token="AUTH_tk0")
        await asyncio.gather(*(store.put(f"b/{number}", [bytes(size)]) for number in range(4)))
        assert renewals == 1
        assert [item.key async for page in store.list("b/", directories=False) for item in page.objects] == [
            f"b/{number}" for number in range(4)
        ]

    run(swift_parameters, scenario)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"password": "wrong"}, "refused the user 'test:tester' (401); check username (account:user in version 1)"),
        ({"username": "test:nobody"}, "refused the user 'test:nobody' (401)"),
        ({"username": READER, "password": READER_KEY}, "does not permit it to the user 'test:reader'"),
        ({"authurl": "http://127.0.0.1:{closed}/auth/v1.0"}, "does not answer (storage.swift.authurl)"),
        ({"authurl": "http://127.0.0.1:{proxy}/healthcheck", "authversion": 1}, "without X-Storage-Url"),
        ({"authurl": "https://127.0.0.1:{proxy}/auth/v1.0"}, "insecureskipverify"),
    ],
)
def test_a_refusal_of_tempauth_says_why(swift: SwiftServer, given: dict[str, Any], said: str) -> None:
    if "authurl" in given:
        url = given["authurl"].format(closed=free_port(), proxy=swift.ports["proxy"])
        given = given | {"authurl": url}

    async def scenario(store: SwiftStore) -> None:
        with pytest.raises(StorageError) as caught:
            await store.put("a", [b"1"])
        message = str(caught.value)
        assert said in message
        assert "\n" not in message
        assert given.get("password", KEY) not in message

    run(parameters(swift, **given), scenario)


def test_a_container_that_is_gone_is_an_error_not_an_empty_one(
    swift_parameters: SwiftParameters, container: SwiftContainer
) -> None:
    async def scenario(store: SwiftStore) -> None:
        await works(store)
        await store.delete(["a"])
        container.ask("DELETE")
        for operation in (store.put("a", [b"1"]), anext(store.list("", directories=False))):
            with pytest.raises(StorageError, match="the container does not exist any more"):
                await operation

    run(swift_parameters, scenario)
