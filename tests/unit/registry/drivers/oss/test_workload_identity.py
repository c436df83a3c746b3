from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from matou.config.sections.oss import OssParameters
from matou.registry.drivers.base import StorageError, Transient, Unusable
from matou.registry.drivers.oss.credentials import credentials_of
from matou.registry.drivers.oss.workload_identity import WorkloadIdentity, token_service
from tests.servers.ports import free_port
from tests.servers.scripted_http import Answer, Asked, scripted_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOKEN = "token-of-the-pod"
KEY = {
    "AccessKeyId": "STS.1",
    "AccessKeySecret": "secret",
    "SecurityToken": "session",
    "Expiration": "2100-01-01T00:00:00Z",
}


@pytest.fixture(autouse=True)
def pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Have the environment that a cluster makes; return the file of the token."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    monkeypatch.setenv("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/registry")
    monkeypatch.setenv("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "acs:ram::1:oidc-provider/ack")
    monkeypatch.setenv("ALIBABA_CLOUD_OIDC_TOKEN_FILE", str(file))
    for name in ("OSS_ACCESS_KEY_ID", "ALIBABA_CLOUD_ROLE_SESSION_NAME", "ALIBABA_CLOUD_STS_REGION"):
        monkeypatch.delenv(name, raising=False)
    return file


def refreshed(script: Callable[[Asked], Answer], times: int = 1) -> tuple[WorkloadIdentity, list[Asked]]:
    async def whole() -> tuple[WorkloadIdentity, list[Asked]]:
        async with scripted_server(script) as server:
            identity = WorkloadIdentity(server.url)
            await asyncio.gather(*(identity.refresh() for _ in range(times)))
            return identity, server.asked

    return asyncio.run(whole())


def test_the_token_of_a_pod_is_exchanged_for_a_key() -> None:
    identity, asked = refreshed(lambda _: Answer(200, json.dumps({"Credentials": KEY}).encode()), times=3)
    found = identity.get_credentials()
    assert (found.access_key_id, found.access_key_secret, found.security_token) == ("STS.1", "secret", "session")
    (one,) = asked
    query = {name: values[0] for name, values in parse_qs(urlsplit(one.path).query).items()}
    assert (one.method, query["Action"], query["Version"]) == ("POST", "AssumeRoleWithOIDC", "2015-04-01")
    assert parse_qs(one.body.decode()) == {
        "RoleArn": ["acs:ram::1:role/registry"],
        "OIDCProviderArn": ["acs:ram::1:oidc-provider/ack"],
        "OIDCToken": [TOKEN],
        "RoleSessionName": ["matou"],
        "DurationSeconds": ["3600"],
    }
    assert TOKEN not in one.path


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (Answer(400, b'{"Code": "AuthenticationFail.OIDCToken.Expired", "Message": "x"}'), Unusable, "Token.Expired"),
        (
            Answer(404, b'{"Code": "EntityNotExist.Role"}'),
            Unusable,
            r"\(EntityNotExist.Role\): check ALIBABA_CLOUD_ROLE",
        ),
        (Answer(200, b"<html>"), Unusable, r"no key for the role acs:ram::1:role/registry \(status 200\)"),
        (Answer(200, b'{"Credentials": {"AccessKeyId": "a"}}'), Unusable, "status 200"),
        (Answer(200, b"[]"), Unusable, "status 200"),
        (Answer(503), Transient, "answered 503"),
    ],
)
def test_who_gets_no_key_is_told_why(answer: Answer, kind: type[StorageError], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        refreshed(lambda _: answer)
    assert TOKEN not in str(caught.value)


def test_a_token_that_cannot_be_read(pod: Path) -> None:
    pod.unlink()
    with pytest.raises(
        Unusable, match=f"the token in {pod} cannot be read .*: ALIBABA_CLOUD_OIDC_TOKEN_FILE must name"
    ):
        refreshed(lambda _: Answer(500))


def test_a_service_that_does_not_answer() -> None:
    with pytest.raises(Transient, match=r"does not answer .ClientConnectorError.; ALIBABA_CLOUD_STS_REGION names"):
        asyncio.run(WorkloadIdentity(f"http://127.0.0.1:{free_port()}").refresh())


def test_when_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    place: dict[str, Any] = {"region": "cn-hangzhou", "bucket": "images"}
    assert isinstance(credentials_of(OssParameters(**place)), WorkloadIdentity)
    assert not isinstance(
        credentials_of(OssParameters(accesskeyid="a", accesskeysecret="s", **place)), WorkloadIdentity
    )
    monkeypatch.delenv("ALIBABA_CLOUD_ROLE_ARN")
    assert not isinstance(credentials_of(OssParameters(**place)), WorkloadIdentity)


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "https://sts.aliyuncs.com"),
        ({"ALIBABA_CLOUD_STS_REGION": "cn-beijing"}, "https://sts.cn-beijing.aliyuncs.com"),
        (
            {"ALIBABA_CLOUD_STS_REGION": "cn-beijing", "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED": "True"},
            "https://sts-vpc.cn-beijing.aliyuncs.com",
        ),
    ],
)
def test_where_the_token_service_is(variables: dict[str, str], url: str) -> None:
    assert token_service(variables) == url
