from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import identity_pool, impersonated_credentials
from google.oauth2 import credentials as user_credentials

from matou.config.sections.drivers import GcsParameters
from matou.registry.drivers.base import StorageError
from matou.registry.drivers.gcs.credentials import credential_source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EMAIL = "registry@project.iam.gserviceaccount.com"
USER = {"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "r"}
FEDERATED = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_url": "https://sts.googleapis.com/v1/token",
    "credential_source": {"file": "/run/token"},
}
IMPERSONATING = {
    "type": "impersonated_service_account",
    "service_account_impersonation_url": (
        f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken"
    ),
    "source_credentials": USER,
}


@pytest.fixture(scope="module")
def key() -> Mapping[str, str]:
    private = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "private_key_id": "1",
        "private_key": private.decode(),
        "client_email": EMAIL,
        "token_uri": "https://oauth2.googleapis.com/token",
    }


def refused(**given: Any) -> str:
    with pytest.raises(StorageError) as raised:
        credential_source(GcsParameters(bucket="b", **given))
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_a_key_file_comes_before_a_map(key: Mapping[str, str], tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(json.dumps(key))
    source = credential_source(GcsParameters(bucket="b", keyfile=str(file), credentials={"type": "nonsense"}))
    assert source.account is not None
    assert source.account.signer_email == EMAIL
    assert source.name == f"storage.gcs.keyfile ({file})"


def test_a_map_is_as_good_as_a_file(key: Mapping[str, str]) -> None:
    source = credential_source(GcsParameters(bucket="b", credentials=key))
    assert source.account is not None
    assert source.load() is source.account
    assert source.name == "storage.gcs.credentials"


def test_then_comes_the_file_that_the_environment_names(
    key: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "adc.json"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    assert f"GOOGLE_APPLICATION_CREDENTIALS ({file}) cannot be read" in refused()
    file.write_text(json.dumps({"type": "service_account"}))
    assert f"GOOGLE_APPLICATION_CREDENTIALS ({file}) has no usable service_account" in refused()
    file.write_text(json.dumps(key))
    assert credential_source(GcsParameters(bucket="b")).account is not None


def test_what_the_machine_has_is_looked_for_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    source = credential_source(GcsParameters(bucket="b"))
    assert source.account is None
    assert source.name == "Application Default Credentials"


@pytest.mark.parametrize(
    ("info", "kind"),
    [
        (USER, user_credentials.Credentials),
        (FEDERATED, identity_pool.Credentials),
        (IMPERSONATING, impersonated_credentials.Credentials),
    ],
    ids=["user", "federated", "impersonating"],
)
def test_other_kinds_of_credentials_are_taken(info: Mapping[str, Any], kind: type) -> None:
    source = credential_source(GcsParameters(bucket="b", credentials=info))
    assert isinstance(source.load(), kind)
    assert source.account is None


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "cannot be read: No such file or directory; give the path" in refused(keyfile=str(tmp_path / "none.json"))
    assert "cannot be read: Is a directory" in refused(keyfile=str(tmp_path))


@pytest.mark.parametrize("content", ["", "not json", "[]", '"text"', "{", '{"a": 1'])
def test_a_file_that_is_no_key_file(content: str, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(content)
    assert f"storage.gcs.keyfile ({file}) is not a key file: it holds no JSON object" in refused(keyfile=str(file))


def test_a_kind_that_does_not_exist() -> None:
    assert "is of the type None; expected a service account's key" in refused(credentials={"client_email": EMAIL})
    assert "is of the type 'gdch'" in refused(credentials={"type": "gdch"})


@pytest.mark.parametrize(
    "change",
    [
        {"private_key": "-----BEGIN PRIVATE KEY-----\nSECRETSECRET\n-----END PRIVATE KEY-----\n"},
        {"private_key": "SECRETSECRET"},
        {"private_key": None},
        {"client_email": None},
        {"token_uri": None},
    ],
    ids=["damaged", "no-pem", "no-key", "no-account", "no-token-service"],
)
def test_a_key_that_cannot_be_used(change: dict[str, str | None], key: Mapping[str, str]) -> None:
    info = {name: value for name, value in {**key, **change}.items() if value is not None}
    message = refused(credentials=info)
    assert message.startswith("storage.gcs.credentials has no usable service_account: a field is missing")
    assert "SECRET" not in message
    assert key["private_key"][50:90] not in message


@pytest.mark.parametrize("info", [FEDERATED, USER, IMPERSONATING], ids=["federated", "user", "impersonating"])
def test_fields_that_are_missing(info: Mapping[str, Any]) -> None:
    message = refused(credentials={"type": info["type"]})
    assert f"storage.gcs.credentials has no usable {info['type']}: a field is missing" in message
