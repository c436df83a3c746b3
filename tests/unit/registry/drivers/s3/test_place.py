"""Requests go where those of Amazon's library go, and are signed for the same region and service."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.session import get_session

from matou.config.sections.s3 import S3Parameters
from matou.registry.drivers.s3.place import find_place
from matou.registry.drivers.s3.signing import Credentials

GIVEN = {"accesskey": "AKIAEXAMPLE", "secretkey": "secret", "region": "eu-central-1", "bucket": "images"}


def of_the_library(parameters: S3Parameters, endpoint: str | None) -> tuple[str, str, str]:
    """Return origin, path of the bucket and scope of a request that the library would send; signed URLs may differ."""
    amazon: dict[str, Any] = {}
    if endpoint is None:
        amazon = {"use_dualstack_endpoint": parameters.usedualstack, "use_fips_endpoint": parameters.usefipsendpoint}
    style = "path" if parameters.has_path_style else "virtual"
    client = get_session().create_client(
        "s3",
        region_name=parameters.region,
        endpoint_url=endpoint,
        use_ssl=parameters.secure,
        aws_access_key_id=parameters.accesskey,
        aws_secret_access_key=parameters.secretkey,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": style, "use_accelerate_endpoint": parameters.accelerate},
            **amazon,
        ),
    )
    sent: list[Any] = []

    def send(request: Any, **_kwargs: Any) -> AWSResponse:
        sent.append(request)
        answer = AWSResponse(request.url, 200, {}, None)
        answer._content = b""
        return answer

    client.meta.events.register("before-send.s3", send)
    client.head_object(Bucket=parameters.bucket, Key="key")
    client.close()
    parts = urlsplit(sent[0].url)
    authorization = sent[0].headers["Authorization"]
    text = authorization.decode() if isinstance(authorization, bytes) else authorization
    _, _, region, service, _ = text.partition("Credential=")[2].partition(",")[0].split("/")
    return f"{parts.scheme}://{parts.netloc}", parts.path.removesuffix("key"), f"{region}/{service}"


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        ({}, None),
        ({"region": "us-east-1"}, None),
        ({"has_path_style": True}, None),
        ({"region": "us-east-1", "has_path_style": True, "secure": False}, None),
        ({"region": "cn-north-1", "has_path_style": True}, None),
        ({"usedualstack": True, "has_path_style": True}, None),
        ({"region": "us-gov-west-1", "usefipsendpoint": True, "usedualstack": True}, None),
        ({"accelerate": True, "usedualstack": True}, None),
        ({"bucket": "arn:aws:s3:us-west-2:123456789012:accesspoint/images"}, None),
        ({}, "http://s3.example.com:9000"),
        ({"has_path_style": True}, "https://s3.example.com/below/here"),
        ({"has_path_style": True}, "http://[::1]:9000"),
    ],
)
def test_places(given: dict[str, Any], endpoint: str | None) -> None:
    parameters = S3Parameters(**{**GIVEN, **given})
    place = asyncio.run(find_place(parameters, endpoint))
    key = Credentials(parameters.accesskey, parameters.secretkey, "")
    signed = place.signer.query(key, datetime.now(UTC), method="GET", host=place.host, path=place.path, seconds=1)
    origin, path, scope = of_the_library(parameters, endpoint)
    assert (place.origin, place.path) == (origin, path)
    assert f"%2F{scope.replace('/', '%2F')}%2Faws4_request" in signed
