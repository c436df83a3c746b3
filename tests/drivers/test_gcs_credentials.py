"""Every kind of credentials of the gcs driver, against token services of our own."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from google.auth import iam
from google.oauth2 import credentials as user_credentials

from matou.config.sections.drivers import GcsParameters
from matou.registry.drivers.base import StorageError, Transient
from matou.registry.drivers.gcs.credentials import credential_source
from matou.registry.drivers.gcs.opening import Services, build_store
from matou.registry.drivers.requests import RequestLimit, Requests, UnobservedRequests
from tests.servers.gcs import BUCKET, GcsServer
from tests.servers.google_accounts import ACCOUNT, REFRESH_TOKEN, SUBJECT_TOKEN
from tests.servers.program import environment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from matou.registry.drivers.gcs.store import GcsStore


def run(gcs: GcsServer, scenario: Callable[[GcsStore], Awaitable[None]], **given: Any) -> None:
    parameters = GcsParameters(bucket=BUCKET, **given)
    requests = Requests(1, RequestLimit(0), UnobservedRequests(), first_pause=0.01)

    async def whole() -> None:
        store = build_store(parameters, credential_source(parameters), Services(gcs.url, gcs.url), requests)
        try:
            await scenario(store)
        finally:
            await store.close()

    asyncio.run(whole())


@pytest.fixture
def person(gcs: GcsServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What gcloud leaves behind for a person; where their token service is, is not for it to say."""
    monkeypatch.setattr(user_credentials, "_GOOGLE_OAUTH2_TOKEN_ENDPOINT", f"{gcs.url}/token")
    return {
        "type": "authorized_user",
        "client_id": "client",
        "client_secret": "secret",
        "refresh_token": REFRESH_TOKEN,
    }


def federated(gcs: GcsServer, folder: Path, *, as_account: bool) -> dict[str, Any]:
    """Return the configuration of a workload identity, which may stand for a service account."""
    (folder / "token").write_text(SUBJECT_TOKEN)
    info = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/provider",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{gcs.url}/sts",
        "credential_source": {"file": str(folder / "token")},
    }
    if as_account:
        url = f"{gcs.url}/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"
        info["service_account_impersonation_url"] = url
    return info


async def write_and_read(store: GcsStore) -> None:
    await store.put("a", [b"content"])
    assert await store.get("a") == b"content"


async def is_signed(store: GcsStore) -> None:
    """Write, and read by a signed URL."""
    await write_and_read(store)
    url = await store.url("a", "GET", 60)
    assert url is not None
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(url)
    assert (answer.status_code, answer.content) == (200, b"content")


async def is_not_signed(store: GcsStore) -> None:
    await write_and_read(store)
    assert await store.url("a", "GET", 60) is None
    assert await store.url("a", "GET", 60) is None


def test_a_file_that_the_environment_names(gcs: GcsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(gcs.key_file))
    run(gcs, is_signed)


def test_a_workload_identity_that_stands_for_an_account(gcs: GcsServer, tmp_path: Path) -> None:
    run(gcs, is_signed, credentials=federated(gcs, tmp_path, as_account=True))
    assert any(line.endswith(":signBlob") for line in gcs.front.services.requests)


def test_a_workload_identity_of_its_own_signs_nothing(
    gcs: GcsServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(gcs, is_not_signed, credentials=federated(gcs, tmp_path, as_account=False))
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "pulls are not redirected" in warning.getMessage()
    assert "the credentials are no service account's" in warning.getMessage()


def test_who_may_not_sign_is_told_once_what_to_grant(
    gcs: GcsServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gcs.accounts.signs = False
    run(gcs, is_not_signed, credentials=federated(gcs, tmp_path, as_account=True))
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "Permission 'iam.serviceAccounts.signBlob' denied" in warning.getMessage()
    assert "Service Account Token Creator (roles/iam.serviceAccountTokenCreator) on itself" in warning.getMessage()
    assert sum(line.endswith(":signBlob") for line in gcs.front.services.requests) == 1


def test_a_token_of_the_identity_provider_that_is_not_accepted(gcs: GcsServer, tmp_path: Path) -> None:
    info = federated(gcs, tmp_path, as_account=True)
    (tmp_path / "token").write_text("forged")

    async def scenario(store: GcsStore) -> None:
        with pytest.raises(StorageError, match="invalid_grant") as raised:
            await store.get("a")
        assert not isinstance(raised.value, Transient)
        assert "forged" not in str(raised.value)

    run(gcs, scenario, credentials=info)


def test_a_person(gcs: GcsServer, person: Mapping[str, str]) -> None:
    run(gcs, is_not_signed, credentials=person)


def test_a_person_who_stands_for_an_account(
    gcs: GcsServer, person: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = f"{gcs.url}/v1/projects/-/serviceAccounts/{{}}"
    monkeypatch.setattr(iam, "_IAM_ENDPOINT", f"{base}:generateAccessToken")
    monkeypatch.setattr(iam, "_IAM_SIGN_ENDPOINT", f"{base}:signBlob")
    info = {
        "type": "impersonated_service_account",
        "service_account_impersonation_url": f"{base.format(ACCOUNT)}:generateAccessToken",
        "source_credentials": person,
    }
    run(gcs, is_signed, credentials=info)
    gcs.accounts.signs = False
    run(gcs, is_not_signed, credentials=info)


def test_the_token_service_that_is_not_there_is_transient(gcs: GcsServer) -> None:
    async def scenario(store: GcsStore) -> None:
        with pytest.raises(Transient, match="token service cannot be reached"):
            await store.get("a")

    run(gcs, scenario, credentials={**gcs.key, "token_uri": "http://127.0.0.1:1/token"})


PROGRAM = """
import asyncio, sys
from matou.config.sections.drivers import GcsParameters
from matou.registry.drivers.gcs.credentials import credential_source
from matou.registry.drivers.gcs.opening import Services, build_store
from matou.registry.drivers.requests import RequestLimit, Requests, UnobservedRequests

async def main(server, bucket):
    parameters = GcsParameters(bucket=bucket)
    requests = Requests(1, RequestLimit(0), UnobservedRequests())
    store = build_store(parameters, credential_source(parameters), Services(server, server), requests)
    try:
        await store.put("machine", [b"content"])
        print(await store.url("machine", "GET", 60))
    finally:
        await store.close()

asyncio.run(main(*sys.argv[1:]))
"""


def on_a_machine(gcs: GcsServer, folder: Path, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Write an object in a process of its own: where the metadata server is, google-auth asks when it is loaded."""
    # No credentials of whoever runs the tests.
    own = {"HOME": str(folder), "CLOUDSDK_CONFIG": str(folder), "GOOGLE_APPLICATION_CREDENTIALS": ""}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, gcs.url, BUCKET],
        env=environment(**own, **variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_account_of_a_machine(gcs: GcsServer, tmp_path: Path) -> None:
    address = gcs.url.removeprefix("http://")
    done = on_a_machine(gcs, tmp_path, {"GCE_METADATA_HOST": address, "GCE_METADATA_IP": address})
    assert done.returncode == 0, done.stderr
    answer = httpx.get(done.stdout.strip(), trust_env=False)
    assert (answer.status_code, answer.content) == (200, b"content")


def test_nothing_is_found(gcs: GcsServer, tmp_path: Path) -> None:
    done = on_a_machine(gcs, tmp_path, {"NO_GCE_CHECK": "true"})
    assert done.returncode == 1
    assert "no Google credentials were found (Your default credentials were not found): set storage.gcs" in done.stderr
