"""Whose certificates are trusted."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from matou.config.sections.s3 import S3Parameters
from matou.registry.drivers.base import StorageError
from matou.registry.drivers.factory import ALONE
from matou.registry.drivers.s3.store import S3Store
from tests.servers.authority import Authority
from tests.servers.scripted_http import Answer, scripted_server

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    for name in ("AWS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
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
