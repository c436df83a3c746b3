"""Certificates of Keystone and of Swift."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from matou.registry.drivers.base import StorageError
from tests.drivers.swift_containers import open_store, parameters
from tests.servers import keystone
from tests.servers.authority import Authority
from tests.servers.keystone import Keystone
from tests.servers.scripted_http import scripted_server
from tests.servers.tls_front import tls_front

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.swift import SwiftServer

ACCOUNT = {
    "username": keystone.USER,
    "password": keystone.PASSWORD,
    "tenantid": keystone.PROJECT_ID,
    "domain": keystone.DOMAIN,
}


def run(swift: SwiftServer, folder: Path, expected: str | None, **given: Any) -> None:
    """Write and read an object through Keystone and Swift, both with a certificate that the system does not know.

    Args:
        swift: behind the front.
        folder: of certificates.
        expected: a part of the message; None when all is well.
        given: parameters.
    """
    certificate = Authority(folder, "authority").issue("server", ec.generate_private_key(ec.SECP256R1()))

    async def scenario() -> None:
        async with tls_front(swift.ports["proxy"], certificate) as storage:
            service = Keystone(swift.token, {"one": {"public": f"{storage}/v1/AUTH_test"}})
            async with (
                scripted_server(service.answer) as plain,
                tls_front(plain.port, certificate) as url,
            ):
                known = parameters(swift, **ACCOUNT, **({"authurl": f"{url}/v3"} | given))
                store = open_store(known)
                try:
                    if expected is not None:
                        with pytest.raises(StorageError, match=expected):
                            await store.get("a")
                        return
                    await store.put("a", [b"1"])
                    assert await store.get("a") == b"1"
                finally:
                    await store.close()

    asyncio.run(scenario())


def test_any_certificate_is_taken_where_that_is_configured(swift: SwiftServer, tmp_path: Path) -> None:
    run(swift, tmp_path, None, insecureskipverify=True)


def test_certificates_of_the_systems_authorities_are_good(
    swift: SwiftServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    run(swift, tmp_path, None)


def test_a_certificate_of_keystone_that_nobody_knows(swift: SwiftServer, tmp_path: Path) -> None:
    run(swift, tmp_path, r"the identity service .* cannot be used: .*CERTIFICATE_VERIFY_FAILED.*insecureskipverify")
