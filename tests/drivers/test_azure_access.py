"""How the azure driver gets in, whom it lets read, and what it says when it may not."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from azure.storage.blob import AccountSasPermissions, ResourceTypes, UserDelegationKey, generate_account_sas
from cryptography.hazmat.primitives.asymmetric import ec

from matou.registry.drivers.azure.connection import Connection
from matou.registry.drivers.base import StorageError, Transient, Unusable
from tests.drivers.azure_driver import open_azure, opened, parameters
from tests.drivers.azure_front import azure_front, refusal
from tests.drivers.conformance import DriverConformance
from tests.servers.authority import Authority
from tests.servers.azurite import ACCOUNT, KEY, OTHER_ACCOUNT, OTHER_KEY, Azurite, running_azurite
from tests.servers.entra import ASSERTION, CLIENT, NOBODY, SECRET, TENANT, Entra, running_entra
from tests.servers.ports import free_port
from tests.servers.program import environment

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from matou.config.sections.azure import AzureParameters
    from tests.drivers.conformance import Opening

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with running_azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def signature_of_account() -> str:
    return generate_account_sas(
        ACCOUNT,
        KEY,
        ResourceTypes(container=True, object=True),
        AccountSasPermissions(read=True, write=True, delete=True, list=True, add=True, create=True),
        datetime.now(UTC) + timedelta(hours=1),
    )


def by_connection_string(server: Azurite, **parts: str) -> AzureParameters:
    text = ";".join(f"{name}={value}" for name, value in {"BlobEndpoint": server.url(), **parts}.items())
    nothing = {"accountname": "", "accountkey": "", "serviceurl": ""}
    return parameters(server, authentication="connectionstring", connectionstring=text, **nothing)


class TestConnectionStringWithSignature(DriverConformance):
    @pytest.fixture
    def opening(self, server: Azurite) -> Opening:
        given = by_connection_string(server, SharedAccessSignature=signature_of_account())
        return lambda: open_azure(given)


def test_a_connection_string_with_a_key(server: Azurite) -> None:
    async def scenario() -> None:
        given = by_connection_string(server, AccountName=ACCOUNT, AccountKey=KEY)
        async with opened(given) as driver, httpx.AsyncClient(trust_env=False) as client:
            await driver.put("a", b"1")
            assert (await client.get(str(await driver.url("a", "GET", 60)))).content == b"1"

    run(scenario())


def test_a_signature_that_allows_more_is_given_to_nobody(server: Azurite) -> None:
    async def scenario() -> None:
        given = by_connection_string(server, SharedAccessSignature=signature_of_account())
        async with opened(given) as driver:
            await driver.put("a", b"1")
            assert await driver.url("a", "GET", 60) is None
            # Within the account it needs no signature.
            assert await driver.copy_from(driver, "a", 1)

    run(scenario())


@pytest.mark.parametrize("legacy", [False, True])
def test_signed_urls_are_for_reading_one_blob(server: Azurite, legacy: bool) -> None:
    async def scenario() -> None:
        content = bytes(range(256))
        async with opened(parameters(server, legacyrootprefix=legacy)) as driver:
            await driver.put("a/b", content)
            await driver.put("a/c", b"other")
            url = str(await driver.url("a/b", "GET", 60))
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.get(url)).content == content
                part = await client.get(url, headers={"Range": "bytes=10-19"})
                assert (part.status_code, part.content) == (206, content[10:20])
                head = await client.head(str(await driver.url("a/b", "HEAD", 60)))
                assert (head.status_code, head.headers["Content-Length"]) == (200, "256")
                refused = [
                    await client.get(url.replace("/b?", "/c?")),
                    await client.get(url.partition("?")[0]),
                    await client.put(url, content=b"1", headers={"x-ms-blob-type": "BlockBlob"}),
                    await client.delete(url),
                    await client.get(str(await driver.url("a/b", "GET", -10))),
                ]
                assert {answer.status_code for answer in refused} <= {403, 404}

    run(scenario())


def test_what_is_wrong_is_said(server: Azurite) -> None:
    """Each with its cause and what to do."""
    wrong_key = base64.b64encode(b"wrong").decode()
    expired = generate_account_sas(
        ACCOUNT, KEY, ResourceTypes(object=True), AccountSasPermissions(read=True), datetime(2020, 1, 1, tzinfo=UTC)
    )
    expired_text = f"BlobEndpoint={server.url()};SharedAccessSignature={expired}"
    by_string = {"accountkey": "", "authentication": "connectionstring"}
    other = {"accountname": OTHER_ACCOUNT, "accountkey": OTHER_KEY, "serviceurl": server.url(OTHER_ACCOUNT)}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"accountkey": wrong_key}, f"storage.azure.accountkey is no key of the account {ACCOUNT}"),
        ({"accountkey": OTHER_KEY}, f"storage.azure.accountkey is no key of the account {ACCOUNT}"),
        ({**by_string, "connectionstring": expired_text}, "the signature in it is wrong or has expired"),
        ({"accountname": "nobody", "serviceurl": server.url("nobody")}, "is 'nobody' the account"),
        (other, f"the account {OTHER_ACCOUNT} has no container"),
        ({"container": "no-such-container"}, "has no container 'no-such-container': make it, or correct"),
        ({"serviceurl": "", "realm": "invalid"}, f"the host {ACCOUNT}.blob.invalid cannot be resolved; is storage"),
        ({"serviceurl": f"http://127.0.0.1:{free_port()}/{ACCOUNT}"}, "Cannot connect to host 127.0.0.1"),
    ]

    async def scenario() -> None:
        for given, expected in cases:
            async with opened(parameters(server, **given, max_retries=0)) as driver:
                for work in (driver.get("a"), driver.put("a", b""), driver.list(""), driver.stat("a")):
                    with pytest.raises(StorageError) as caught:
                        await work
                    assert expected in str(caught.value)
                    assert "\n" not in str(caught.value)
                    assert isinstance(caught.value, Transient | Unusable)

    run(scenario())


def test_a_key_that_is_none(server: Azurite) -> None:
    with pytest.raises(StorageError, match=r"is not base64: .*; copy it from the account's access keys"):
        open_azure(parameters(server, accountkey="base64encodedaccountkey"))


@pytest.mark.parametrize(("seconds", "said"), [(1200, "1200 s behind"), (-1200, "1200 s ahead of")])
def test_a_clock_that_is_wrong(server: Azurite, seconds: float, said: str) -> None:
    async def scenario() -> None:
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
        async with azure_front(server) as front, opened(parameters(server, serviceurl=front.url)) as driver:
            front.before = lambda _request: refusal(403, "AuthenticationFailed", Date=date)
            for work in (driver.get("a"), driver.put("a", b"")):
                with pytest.raises(StorageError, match=r"this machine's clock is (1199|1200|1201) s") as caught:
                    await work
                assert said.partition(" s ")[2] in str(caught.value)

    run(scenario())


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AuthorizationPermissionMismatch", "the role Storage Blob Data Contributor"),
        (403, "AuthorizationFailure", "network rules of the account harbour keep this machine out"),
        (403, "KeyBasedAuthenticationNotPermitted", "takes no keys: set storage.azure.credentials.type"),
        (403, "AccountIsDisabled", "the account harbour is disabled"),
        (409, "PublicAccessNotPermitted", "is no key of the account harbour"),
        (400, "AccountRequiresHttps", "serviceurl must begin with https://"),
        (409, "BlobArchived", "rehydrate it"),
        (409, "BlobImmutableDueToPolicy", "immutability policy"),
        (412, "LeaseIdMissing", "holds a lease"),
    ],
)
def test_what_only_azure_says(server: Azurite, status: int, code: str, said: str) -> None:
    async def scenario() -> None:
        async with azure_front(server) as front, opened(parameters(server, serviceurl=front.url)) as driver:
            front.before = lambda _request: refusal(status, code)
            for work in (driver.get("a"), driver.put("a", b""), driver.list(""), driver.stat("a"), driver.delete("a")):
                with pytest.raises(StorageError, match=said):
                    await work

    run(scenario())


def test_the_debug_log_shows_requests_and_no_signature(server: Azurite, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(events: frozenset[str]) -> list[str]:
        caplog.clear()
        async with opened(parameters(server, events=events)) as driver:
            await driver.put("a/b", b"1")
            await driver.get("a/b")
            with pytest.raises(StorageError):
                await driver.get("a/nothing")
            await driver.copy_from(driver, "a/b", 1)
        return [record.message for record in caplog.records if record.message.startswith("azure: ")]

    caplog.set_level(logging.INFO, "matou.registry")
    lines = asyncio.run(scenario(frozenset(("request", "response", "responseerror", "longrunningoperation"))))
    assert len(lines) == 9
    assert lines[0].startswith(f"azure: PUT {server.url()}/images-")
    assert "/a/b: 201 in " in lines[1]
    assert "/a/nothing: 404 BlobNotFound in " in lines[5]
    assert lines[-1].startswith("azure: copy ")
    assert not any("sig=" in line or "se=" in line for line in lines)
    assert len(asyncio.run(scenario(frozenset(("responseerror",))))) == 1
    assert asyncio.run(scenario(frozenset())) == []


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Azurite]:
    with running_azurite(tmp_path_factory.mktemp("secure"), authority) as running:
        yield running


@pytest.fixture(scope="module")
def entra(authority: Authority) -> Iterator[Entra]:
    with running_entra(authority.issue("entra", ec.generate_private_key(ec.SECP256R1()))) as running:
        yield running


def test_a_certificate_that_is_not_trusted(secure: Azurite) -> None:
    async def scenario() -> None:
        given = parameters(secure)
        async with opened(given) as driver:
            for work in (driver.get("a"), driver.put("a", b"")):
                with pytest.raises(StorageError, match=r"certificate of 127.0.0.1 is not trusted .*skipverify"):
                    await work
        async with opened(parameters(secure, container=given.container, skipverify=True)) as driver:
            await driver.put("a", b"1")
            assert await driver.get("a") == b"1"

    run(scenario())


APPLICATION = {"tenantid": TENANT, "clientid": CLIENT, "secret": SECRET}
IDENTITY = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT}


class Probe:
    """Runs ``azure_probe`` against an Azurite that takes tokens, with a configuration and an environment.

    Args:
        folder: for the configuration.
        server: that takes tokens.
        authority: that it has its certificate from.
        entra: that gives tokens.
    """

    def __init__(self, folder: Path, server: Azurite, authority: Authority, entra: Entra) -> None:
        self._folder = folder
        self._server = server
        self._variables = {
            "SSL_CERT_FILE": str(authority.path),
            "AZURE_AUTHORITY_HOST": entra.host,
            # Nobody answers for the machine, and what the people have who run the tests does not count.
            "AZURE_TOKEN_CREDENTIALS": "prod",
            "NO_PROXY": "127.0.0.1",
            "PATH": os.environ["PATH"],
        }

    def run(self, storage: dict[str, Any], **variables: str) -> subprocess.CompletedProcess[str]:
        account = {"accountname": ACCOUNT, "serviceurl": self._server.url(), "container": self._server.new_container()}
        configuration = self._folder / "config.yml"
        document = {"version": 0.1, "storage": {"azure_v2": {**account, "max_retries": 0, **storage}}}
        configuration.write_text(yaml.safe_dump(document))
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "tests.drivers.azure_probe", configuration],
            cwd=ROOT,
            env=environment(**self._variables, **variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture
def probe(tmp_path: Path, secure: Azurite, authority: Authority, entra: Entra) -> Probe:
    return Probe(tmp_path, secure, authority, entra)


@pytest.mark.parametrize(
    ("storage", "variables"),
    [
        ({"credentials": {"type": "client_secret", **APPLICATION}}, {}),
        (
            {"credentials_type": "client_secret", "tenant_id": TENANT, "client_id": CLIENT, "secret": SECRET},
            {},
        ),
        ({}, {**IDENTITY, "AZURE_CLIENT_SECRET": SECRET}),
        ({"credentials_type": "default_credentials"}, {**IDENTITY, "AZURE_FEDERATED_TOKEN_FILE": "token"}),
    ],
    ids=["application", "as_gitlab_writes_it", "environment", "workload_identity"],
)
def test_tokens(probe: Probe, tmp_path: Path, entra: Entra, storage: dict[str, Any], variables: dict[str, str]) -> None:
    if "AZURE_FEDERATED_TOKEN_FILE" in variables:
        (tmp_path / "token").write_text(ASSERTION)
        variables = {**variables, "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token")}
    before = entra.given
    done = probe.run(storage, **variables)
    assert done.returncode == 0, done.stderr
    assert entra.given == before + 1
    # Azurite knows only an older form of what a user delegation key signs, and would refuse it.
    assert done.stderr == ""
    assert done.stdout.startswith("signs https://127.0.0.1:")
    assert {"sig", "skoid", "sktid", "se"} <= set(httpx.URL(done.stdout.split()[1]).params)


def test_an_identity_that_may_not_sign(probe: Probe) -> None:
    done = probe.run({"credentials": {"type": "client_secret", **APPLICATION, "clientid": NOBODY}})
    assert done.stdout == "signs nothing\n"
    (line,) = done.stderr.splitlines()
    assert line.startswith("pulls go through the registry, as nothing signs URLs: ")
    assert line.endswith("redirects need the role Storage Blob Delegator on the account")


def test_a_delegation_key_is_asked_for_rarely(secure: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    async def ask(_connection: Connection, seconds: float) -> UserDelegationKey | None:
        asked.append(seconds)
        return None if len(asked) == 1 else delegation_key()

    async def scenario() -> None:
        given = parameters(secure, accountkey="", authentication="default_credentials")
        async with opened(given) as driver:
            assert [await driver.url("a", "GET", 60) for _ in range(2)] == [None, None]
            store: Any = driver.store
            store.connection._delegation = (0.0, None)  # as after some minutes
            assert all([await driver.url("a", "GET", seconds) for seconds in (60, 1200, 60, 40_000)])
            day, week = 86400.0, 7 * 86400.0
            assert asked == [day, day]
            url = httpx.URL(str(await driver.url("a", "GET", week)))
            assert asked == [day, day, week - 600]
            # A URL is not good for longer than what has signed it.
            assert datetime.fromisoformat(url.params["se"]) < datetime.now(UTC) + timedelta(days=7)
            assert await driver.url("b", "GET", week)
            assert len(asked) == 3

    monkeypatch.setattr(Connection, "_ask_for_delegation", ask)
    run(scenario())


def delegation_key() -> UserDelegationKey:
    key = UserDelegationKey()  # type: ignore[no-untyped-call]
    key.signed_oid, key.signed_tid, key.signed_service, key.signed_version = "o", "t", "b", "2021-12-02"
    key.signed_start, key.signed_expiry = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    key.value = base64.b64encode(b"key").decode()
    return key


def test_an_application_with_a_wrong_secret(probe: Probe) -> None:
    done = probe.run({"credentials": {"type": "client_secret", **APPLICATION, "secret": "wrong"}})
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "AADSTS7000215: Invalid client secret" in line
    assert line.endswith("correct tenantid, clientid and secret in storage.azure.credentials")
