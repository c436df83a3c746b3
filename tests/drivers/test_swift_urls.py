"""Temporary URLs of Swift."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.drivers.conformance import run
from tests.drivers.swift_containers import (
    BLOB,
    FILES,
    MIB,
    content_of,
    limit,
    open_driver,
    parameters,
    push,
    put_as_distribution_does,
    store_of,
)
from tests.servers.swift import READER, READER_KEY

if TYPE_CHECKING:
    from matou.config.sections.swift import SwiftParameters
    from matou.registry.drivers.base import Driver
    from tests.drivers.conformance import Opening
    from tests.servers.swift import SwiftContainer, SwiftServer

KEY_HEADER = "X-Container-Meta-Temp-Url-Key"


async def ask(url: str | None, method: str = "GET", **headers: str) -> httpx.Response:
    """Ask Swift as a client of the registry does, who has no token."""
    assert url is not None
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        return await client.request(method, url, headers=headers)


@pytest.mark.parametrize("kind", ["plain", "static", "dynamic"])
@pytest.mark.parametrize("prefix", ["", "/a b/ü"])
def test_a_url_is_good_for_get_and_head(swift: SwiftServer, kind: str, prefix: str) -> None:
    content = content_of(1000 if kind == "plain" else 3 * MIB)
    given = parameters(swift, prefix=prefix)

    async def scenario(driver: Driver) -> None:
        if kind == "dynamic":
            await driver.put("x", b"")
            with swift.container(given.container) as container:
                name = store_of(driver)._names.name(BLOB)
                put_as_distribution_does(container, name, [content[:MIB], content[MIB:]])
        else:
            await push(driver, BLOB, content)
        url = await driver.url(BLOB, "GET", 60)
        assert (await ask(url)).content == content
        part = await ask(url, Range="bytes=5-9")
        assert (part.status_code, part.content) == (206, content[5:10])
        head = await ask(await driver.url(BLOB, "HEAD", 60), "HEAD")
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(content)))
        for method in ("PUT", "DELETE"):
            assert (await ask(url, method)).status_code == 401
        assert (await ask(str(url).replace("temp_url_expires=1", "temp_url_expires=2"))).status_code == 401
        assert (await ask(str(url).replace("data?", "other?"))).status_code == 401
        assert await driver.url(BLOB, "PUT", 60) is None

    run(lambda: open_driver(given), scenario)


def test_a_url_expires(swift_opening: Opening) -> None:
    async def scenario(driver: Driver) -> None:
        await driver.put("a", b"1")
        url = await driver.url("a", "GET", 0.1)
        assert (await ask(url)).content == b"1"
        await asyncio.sleep(2.1)
        assert (await ask(url)).status_code == 401

    run(swift_opening, scenario)


def signature(url: str | None) -> str:
    assert url is not None
    return parse_qs(urlsplit(url).query)["temp_url_sig"][0]


def test_the_digest_is_one_that_the_cluster_permits(swift_opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(driver: Driver) -> None:
        await driver.put("a", b"1")
        assert len(signature(await driver.url("a", "GET", 60))) == 64
        await limit(driver, monkeypatch, url_algorithm="sha1")
        url = await driver.url("a", "GET", 60)
        assert len(signature(url)) == 40
        assert (await ask(url)).content == b"1"

    run(swift_opening, scenario)


def test_the_key_that_is_there_is_used(swift_opening: Opening, container: SwiftContainer) -> None:
    container.ask("PUT", headers={KEY_HEADER: "distribution's"})

    async def scenario(driver: Driver) -> None:
        await driver.put("a", b"1")
        assert (await ask(await driver.url("a", "GET", 60))).content == b"1"
        assert container.ask("HEAD").headers[KEY_HEADER] == "distribution's"
        store_of(driver)._urls._looked = -1e9  # longer ago than a key is remembered
        container.ask("POST", headers={KEY_HEADER: "another"})
        assert (await ask(await driver.url("a", "GET", 60))).content == b"1"

    run(swift_opening, scenario)


@pytest.mark.parametrize("header", [KEY_HEADER, f"{KEY_HEADER}-2"])
def test_the_key_of_the_configuration_is_set_unless_it_is_there(swift: SwiftServer, header: str) -> None:
    given = parameters(swift, secretkey="quay")

    async def scenario(driver: Driver) -> None:
        await driver.put("a", b"1")
        with swift.container(given.container) as container:
            container.ask("POST", headers={KEY_HEADER: "old", header: "quay"})
            assert (await ask(await driver.url("a", "GET", 60))).content == b"1"
            assert container.ask("HEAD").headers[KEY_HEADER] == ("quay" if header == KEY_HEADER else "old")
            container.ask("POST", headers={f"{KEY_HEADER}-2": "none"})
            store_of(driver)._urls._looked = -1e9
            assert (await ask(await driver.url("a", "GET", 60))).content == b"1"
            assert container.ask("HEAD").headers[KEY_HEADER] == "quay"

    run(lambda: open_driver(given), scenario)


def test_processes_that_start_together_agree_on_a_key(swift_parameters: SwiftParameters) -> None:
    async def scenario(driver: Driver) -> None:
        await driver.put("a", b"1")
        others = [open_driver(swift_parameters) for _ in range(3)]
        try:
            urls = await asyncio.gather(*(other.url("a", "GET", 60) for other in others))
            assert [(await ask(url)).content for url in urls] == [b"1"] * 3
        finally:
            await asyncio.gather(*(other.close() for other in others))

    run(lambda: open_driver(swift_parameters), scenario)


@pytest.mark.parametrize("secretkey", ["", "set by the owner"])
def test_a_user_who_may_set_no_key(swift: SwiftServer, secretkey: str, caplog: pytest.LogCaptureFixture) -> None:
    name = f"registry-{secrets.token_hex(8)}"
    given = parameters(swift, username=READER, password=READER_KEY, container=name, secretkey=secretkey)
    with swift.container(name) as container:
        rights = {"X-Container-Read": f"{READER},.rlistings", "X-Container-Write": READER}
        container.ask("PUT", headers=rights | ({KEY_HEADER: secretkey} if secretkey else {}))

    async def scenario(driver: Driver) -> None:
        await push(driver, BLOB, content_of(2 * MIB))
        await driver.put("a", b"1")
        if secretkey:
            assert (await ask(await driver.url("a", "GET", 60))).content == b"1"
        else:
            assert await driver.url("a", "GET", 60) is None
            assert await driver.url("a", "GET", 60) is None
            assert caplog.text.count("'test:reader' may not set a key for temporary URLs") == 1
        await driver.delete("docker")
        assert await driver.list("") == ["a"]

    run(lambda: open_driver(given), scenario)
    with swift.container(name) as container:
        assert container.names() == [f"{FILES}a"]


@pytest.mark.parametrize("abilities", [{"url_methods": ()}, {"url_methods": ("PUT",)}])
def test_a_cluster_without_urls(
    swift_opening: Opening, monkeypatch: pytest.MonkeyPatch, abilities: dict[str, Any]
) -> None:
    async def scenario(driver: Driver) -> None:
        await limit(driver, monkeypatch, **abilities)
        assert await driver.url("a", "GET", 60) is None

    run(swift_opening, scenario)


def test_the_key_of_the_account_where_containers_have_none(
    swift_opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(driver: Driver) -> None:
        await limit(driver, monkeypatch, container_keys=False)
        await driver.put("a", b"1")
        url = await driver.url("a", "GET", 60)
        assert (await ask(url)).content == b"1"

    run(swift_opening, scenario)
