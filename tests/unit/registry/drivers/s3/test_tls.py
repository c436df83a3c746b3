"""Whose certificates are trusted, and which way connections take."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from matou.config.sections.s3 import S3Parameters
from matou.registry.drivers.base import StorageError, Transient
from matou.registry.drivers.factory import ALONE
from matou.registry.drivers.s3.store import S3Store
from tests.servers.authority import Authority
from tests.servers.scripted_http import Answer, Asked, scripted_server

if TYPE_CHECKING:
    from pathlib import Path

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    for name in (*PROXIES, "AWS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return Authority(tmp_path, "authority")


def fetch(authority: Authority, **given: Any) -> bytes:
    """Get an object from a server with a certificate of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", ec.generate_private_key(ec.SECP256R1())))

    async def whole() -> bytes:
        async with scripted_server(lambda _: Answer(200, b"content"), context) as server:
            return await get({"regionendpoint": server.url, **given})

    return asyncio.run(whole())


async def get(given: dict[str, Any]) -> bytes:
    parameters = S3Parameters(
        **{
            "accesskey": "a",
            "secretkey": "s",
            "region": "r",
            "bucket": "b",
            "has_path_style": True,
            "maxretries": 0,
            **given,
        }
    )
    store = S3Store(parameters, ALONE)
    try:
        return await store.get("key")
    finally:
        await store.close()


def test_a_certificate_that_nobody_vouches_for_is_refused(authority: Authority) -> None:
    with pytest.raises(
        StorageError, match=r"its certificate is not trusted \(.*\); install .* storage\.s3\.skipverify"
    ):
        fetch(authority)


def test_it_may_be_accepted_all_the_same(authority: Authority) -> None:
    assert fetch(authority, skipverify=True) == b"content"


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_authorities_of_the_environment(authority: Authority, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, str(authority.path))
    assert fetch(authority) == b"content"


def test_an_authority_of_the_profile(authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile = tmp_path / "config"
    profile.write_text(f"[default]\nca_bundle = {authority.path}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(profile))
    assert fetch(authority) == b"content"


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_authorities_that_cannot_be_read(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    with pytest.raises(StorageError, match=rf"no certificates can be read from {bundle}: .*; correct AWS_CA_BUNDLE"):
        fetch(authority)
    assert fetch(authority, skipverify=True) == b"content"


@pytest.mark.parametrize("prefix", ["", "//", "http://user:word@"])
def test_proxies_as_they_are_written(authority: Authority, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:  # noqa: ARG001 -- clears them
    async def whole() -> None:
        async with scripted_server(lambda _: Answer(200, b"content")) as proxy:
            monkeypatch.setenv("http_proxy", prefix + proxy.url.removeprefix("http://"))
            assert await get({"regionendpoint": "http://s3.example.com"}) == b"content"
            assert ("proxy-authorization" in proxy.asked[0].headers) == ("@" in prefix)

    asyncio.run(whole())


@pytest.mark.parametrize(
    "variables",
    [
        {"http_proxy": "http://127.0.0.1:1", "no_proxy": "127.0.0.1"},
        {"http_proxy": "http://127.0.0.1:1", "no_proxy": "HOST:PORT"},
        {"http_proxy": ""},
        {"https_proxy": "http://127.0.0.1:1"},
        {"all_proxy": "socks5://127.0.0.1:1"},
    ],
)
def test_where_no_proxy_counts(
    authority: Authority,  # noqa: ARG001 -- clears them
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
) -> None:
    async def whole() -> None:
        async with scripted_server(lambda _: Answer(200, b"content")) as server:
            for name, value in variables.items():
                monkeypatch.setenv(name, value.replace("HOST:PORT", server.url.removeprefix("http://")))
            assert await get({"regionendpoint": server.url}) == b"content"

    asyncio.run(whole())


@pytest.mark.parametrize("given", ["socks5://user:word@127.0.0.1:1", "http://user:word@127.0.0.1:99999", "http://"])
def test_what_is_no_proxy(authority: Authority, monkeypatch: pytest.MonkeyPatch, given: str) -> None:  # noqa: ARG001 -- clears them
    monkeypatch.setenv("http_proxy", given)
    with pytest.raises(StorageError, match="HTTP_PROXY of the environment is no URL of an HTTP proxy") as caught:
        asyncio.run(get({"regionendpoint": "http://s3.example.com"}))
    assert "word" not in str(caught.value)


def test_the_proxy_of_the_environment(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 -- clears it
    async def whole() -> None:
        def script(asked: Asked) -> Answer:
            assert asked.path == "http://s3.example.com/b/key"
            assert asked.headers["host"] == "s3.example.com"
            return Answer(200, b"content")

        async with scripted_server(script) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            given = {"regionendpoint": "http://s3.example.com"}
            assert await get(given) == b"content"
            monkeypatch.setenv("no_proxy", "example.com")
            with pytest.raises(Transient):
                await get({"regionendpoint": "http://s3.invalid.example.com"})
            assert len(proxy.asked) == 1

    asyncio.run(whole())
