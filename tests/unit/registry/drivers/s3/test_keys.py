"""Where keys come from when the configuration has none: the environment, a profile, roles."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from matou.registry.drivers.base import StorageError, Unusable
from tests.servers.scripted_http import Answer, Asked, ScriptedServer
from tests.unit.registry.drivers.s3.test_faults import error, run

if TYPE_CHECKING:
    from pathlib import Path

    from matou.registry.drivers.s3.store import S3Store


class Metadata:
    """Credentials of a role, as an EC2 instance has them (IMDSv2)."""

    def __call__(self, asked: Asked) -> Answer:
        if asked.path.startswith("/images/"):
            signed = (
                "ROLEKEY/" in asked.headers["authorization"] and asked.headers["x-amz-security-token"] == "the-token"
            )
            return Answer(200, b"content") if signed else error(403, "InvalidAccessKeyId")
        if asked.path == "/latest/api/token" and asked.method == "PUT":
            return Answer(200, b"session", {"x-aws-ec2-metadata-token-ttl-seconds": "21600"})
        if asked.headers.get("x-aws-ec2-metadata-token") != "session":
            return Answer(401)
        if asked.path.endswith("/security-credentials/"):
            return Answer(200, b"registry-role")
        assert asked.path.endswith("/security-credentials/registry-role")
        return Answer(
            200,
            b'{"Code": "Success", "AccessKeyId": "ROLEKEY", "SecretAccessKey": "s", "Token": "the-token", '
            b'"Expiration": "2100-01-01T00:00:00Z", "LastUpdated": "2026-01-01T00:00:00Z"}',
        )


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    return monkeypatch


def test_the_role_of_the_machine(no_credentials: pytest.MonkeyPatch) -> None:
    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        no_credentials.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"{server.url}/")
        assert await asyncio.gather(*(store.get("link") for _ in range(4))) == [b"content"] * 4
        assert len(server.asked) == 3 + 4  # the role is asked for once

    run(Metadata(), scenario, accesskey="", secretkey="")


def test_a_container_of_kubernetes_or_ecs(no_credentials: pytest.MonkeyPatch) -> None:
    def script(asked: Asked) -> Answer:
        if asked.path != "/credentials":
            return Metadata()(asked)
        keys = b'"AccessKeyId": "ROLEKEY", "SecretAccessKey": "s", "Token": "the-token"'
        return Answer(200, b"{" + keys + b', "Expiration": "2100-01-01T00:00:00Z"}')

    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        no_credentials.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/credentials")
        assert await store.get("link") == b"content"

    run(script, scenario, accesskey="", secretkey="")


def test_keys_of_the_environment_are_found_later(no_credentials: pytest.MonkeyPatch) -> None:
    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        with pytest.raises(StorageError, match=r"set storage\.s3\.accesskey and storage\.s3\.secretkey, or give"):
            await store.get("link")
        assert server.asked == []
        no_credentials.setenv("AWS_ACCESS_KEY_ID", "ROLEKEY")
        no_credentials.setenv("AWS_SECRET_ACCESS_KEY", "s")
        no_credentials.setenv("AWS_SESSION_TOKEN", "the-token")
        assert await store.get("link") == b"content"

    no_credentials.setenv("AWS_EC2_METADATA_DISABLED", "true")
    run(Metadata(), scenario, accesskey="", secretkey="")


def test_a_profile(no_credentials: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text(
        "[default]\naws_access_key_id = OTHER\naws_secret_access_key = s\n"
        "[registry]\naws_access_key_id = ROLEKEY\naws_secret_access_key = s\naws_session_token = the-token\n"
    )
    no_credentials.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    no_credentials.setenv("AWS_PROFILE", "registry")

    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        assert await store.get("link") == b"content"
        assert len(server.asked) == 1

    run(Metadata(), scenario, accesskey="", secretkey="")


def test_a_profile_that_is_not_there(no_credentials: pytest.MonkeyPatch) -> None:
    no_credentials.setenv("AWS_PROFILE", "registry")

    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        with pytest.raises(StorageError, match=r"profile \(registry\) could not be found.*AWS_PROFILE"):
            await store.get("link")
        assert server.asked == []

    run(Metadata(), scenario, accesskey="", secretkey="")


class WebIdentity:
    """Amazon's token service, which gives a key for a token of a cluster."""

    def __call__(self, asked: Asked) -> Answer:
        if asked.method == "GET":
            return Metadata()(asked)
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        if form["WebIdentityToken"] != "of-the-cluster":
            said = "<Error><Code>InvalidIdentityToken</Code><Message>No.</Message></Error>"
            return Answer(400, f"<ErrorResponse>{said}</ErrorResponse>".encode(), {"Content-Type": "text/xml"})
        assert (form["Action"], form["RoleArn"]) == ("AssumeRoleWithWebIdentity", "arn:aws:iam::1:role/registry")
        assert "authorization" not in asked.headers
        return Answer(
            200,
            b'<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            b"<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ROLEKEY</AccessKeyId>"
            b"<SecretAccessKey>s</SecretAccessKey><SessionToken>the-token</SessionToken>"
            b"<Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
            b"</AssumeRoleWithWebIdentityResponse>",
            {"Content-Type": "text/xml"},
        )


@pytest.mark.parametrize("token", ["of-the-cluster", "of somebody"])
def test_the_workload_identity_of_a_cluster(no_credentials: pytest.MonkeyPatch, tmp_path: Path, token: str) -> None:
    file = tmp_path / "token"
    file.write_text(token)
    no_credentials.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(file))
    no_credentials.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/registry")
    no_credentials.setenv("AWS_EC2_METADATA_DISABLED", "true")

    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        no_credentials.setenv("AWS_ENDPOINT_URL_STS", server.url)
        if token == "of-the-cluster":
            assert await asyncio.gather(*(store.get("link") for _ in range(3))) == [b"content"] * 3
            assert len(server.asked) == 1 + 3
        else:
            with pytest.raises(StorageError, match=r"InvalidIdentityToken.*check AWS_ROLE_ARN") as caught:
                await store.get("link")
            assert token not in str(caught.value)

    run(WebIdentity(), scenario, accesskey="", secretkey="")


def test_an_arn_that_is_none() -> None:
    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        with pytest.raises(Unusable, match=r"Invalid bucket name .*; correct storage\.s3\.bucket"):
            await store.get("link")
        assert server.asked == []

    run(Metadata(), scenario, bucket="arn:nonsense")
