"""``http.tls`` as real clients meet it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.servers.authority import Authority, Key
from tests.servers.matou_registry import MatouRegistry
from tests.servers.program import MATOU

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class TlsRegistry(MatouRegistry):
    """A registry that speaks TLS; it is up when its port is."""

    @property
    def url(self) -> str:
        return f"https://{self.address}"

    def _is_up(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True
        return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def server_authority(folder: Path) -> Authority:
    return Authority(folder, "server-ca")


@pytest.fixture(scope="module")
def client_authorities(folder: Path) -> list[Authority]:
    return [Authority(folder, name) for name in ("first-ca", "second-ca", "stranger-ca")]


def running(folder: Path, tls: dict[str, Any], http: dict[str, Any] | None = None) -> Iterator[TlsRegistry]:
    registry = TlsRegistry(folder, {"http": {"tls": tls, **(http or {})}, "auth": {"none": {}}}, workers=1)
    try:
        registry.start()
        yield registry
    finally:
        registry.stop()


@pytest.fixture(scope="module", params=["rsa", "ec"])
def registry(folder: Path, server_authority: Authority, request: pytest.FixtureRequest) -> Iterator[TlsRegistry]:
    is_rsa = request.param == "rsa"
    key: Key = rsa.generate_private_key(65537, 2048) if is_rsa else ec.generate_private_key(ec.SECP256R1())
    certificate, private = server_authority.issue(f"server-{request.param}", key)
    yield from running(folder / request.param, {"certificate": str(certificate), "key": str(private)})


@pytest.fixture(scope="module")
def guarded(folder: Path, server_authority: Authority, client_authorities: list[Authority]) -> Iterator[TlsRegistry]:
    certificate, private = server_authority.issue("server-guarded", ec.generate_private_key(ec.SECP256R1()))
    tls = {
        "certificate": str(certificate),
        "key": str(private),
        "minimumtls": "tls1.3",
        "clientcas": [str(authority.path) for authority in client_authorities[:2]],
    }
    yield from running(folder / "guarded", tls, {"http2": {"disabled": True}})


def context(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.path)


def test_https(registry: TlsRegistry, server_authority: Authority) -> None:
    answer = httpx.get(f"{registry.url}/v2/", verify=context(server_authority), trust_env=False)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("offered", "version", "chosen"),
    [
        (["h2", "http/1.1"], ssl.TLSVersion.TLSv1_3, "h2"),
        (["http/1.1"], ssl.TLSVersion.TLSv1_2, "http/1.1"),
    ],
)
def test_protocol_and_version(
    registry: TlsRegistry, server_authority: Authority, offered: list[str], version: ssl.TLSVersion, chosen: str
) -> None:
    ours = context(server_authority)
    ours.minimum_version = ours.maximum_version = version
    ours.set_alpn_protocols(offered)
    with (
        socket.create_connection(("127.0.0.1", registry.port), timeout=10) as plain,
        ours.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        assert secured.selected_alpn_protocol() == chosen


def test_urls_say_https(registry: TlsRegistry, server_authority: Authority) -> None:
    answer = httpx.post(f"{registry.url}/v2/a/blobs/uploads/", verify=context(server_authority), trust_env=False)
    assert answer.status_code == 202
    assert answer.headers["location"].startswith(f"{registry.url}/v2/a/blobs/uploads/")


def test_certificates_of_clients(
    guarded: TlsRegistry, server_authority: Authority, client_authorities: list[Authority]
) -> None:
    for number, authority in enumerate(client_authorities):
        ours = context(server_authority)
        ours.load_cert_chain(*authority.issue(f"client-{number}", ec.generate_private_key(ec.SECP256R1())))
        if authority is client_authorities[2]:
            with pytest.raises(httpx.TransportError):
                httpx.get(f"{guarded.url}/v2/", verify=ours, trust_env=False)
        else:
            assert httpx.get(f"{guarded.url}/v2/", verify=ours, trust_env=False).status_code == 200
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{guarded.url}/v2/", verify=context(server_authority), trust_env=False)


def test_minimum_version_and_no_http2(
    guarded: TlsRegistry, server_authority: Authority, client_authorities: list[Authority]
) -> None:
    ours = context(server_authority)
    ours.load_cert_chain(*client_authorities[0].issue("client", ec.generate_private_key(ec.SECP256R1())))
    ours.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as plain,
        ours.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        assert secured.selected_alpn_protocol() != "h2"
    ours.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as plain, pytest.raises(ssl.SSLError):
        ours.wrap_socket(plain, server_hostname="127.0.0.1")


@pytest.mark.parametrize(
    ("certificate", "key", "authority", "problem"),
    [
        ("missing", "a.key", None, "http.tls.certificate: {folder}/missing cannot be read: No such file or directory"),
        ("a.crt", "missing", None, "http.tls.key: {folder}/missing cannot be read: No such file or directory"),
        ("a.crt", "b.key", None, "do not belong together"),
        ("a.key", "a.key", None, "are no PEM files of a certificate and its unencrypted key"),
        ("a.crt", "a.key", "a.key", "http.tls.clientcas[0]: {folder}/a.key holds no certificate in PEM form"),
    ],
)
def test_files_that_cannot_be_used(
    certificate: str, key: str, authority: str | None, problem: str, folder: Path, server_authority: Authority
) -> None:
    for name in "ab":
        server_authority.issue(name, ec.generate_private_key(ec.SECP256R1()))
    clientcas = f", clientcas: [{folder / authority}]" if authority else ""
    configuration = folder / "wrong.yml"
    configuration.write_text(
        f"version: 0.1\nstorage: inmemory\nhttp:\n  addr: 127.0.0.1:0\n  secret: s\n"
        f"  tls: {{certificate: {folder / certificate}, key: {folder / key}{clientcas}}}\n"
    )
    run = subprocess.run(
        [MATOU, "registry", "serve", configuration], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 1
    assert problem.format(folder=folder) in run.stderr
    assert "Traceback" not in run.stderr
