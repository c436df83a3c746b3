"""Where requests go and who sends them: what the library of Amazon knows of endpoints and credentials.

Concurrency: credentials are fetched when the first request asks for them, as that may take requests of its own.

Source: the AWS SDKs and Tools reference guide for credentials and settings that come from elsewhere; Distribution's
s3-aws driver for what the options do.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import NoCredentialsError

from matou.registry.drivers.s3.signing import Credentials, Signer

if TYPE_CHECKING:
    from matou.config.sections.s3 import S3Parameters

PROBE = "key"  # of no object


class Place(NamedTuple):
    """Where a bucket is.

    Attributes:
        origin: scheme, host and port.
        host: as it is in the header ``Host``.
        path: of the bucket, encoded; ends with a slash.
        signer: of requests to it.
    """

    origin: str
    host: str
    path: str
    signer: Signer


async def find_place(parameters: S3Parameters, endpoint: str | None) -> Place:
    """Return where a bucket is, by the rules of Amazon's library.

    Args:
        parameters: of the driver.
        endpoint: URL of a service; None for Amazon's own.
    """
    s3: dict[str, Any] = {"addressing_style": "path" if parameters.has_path_style else "virtual"}
    amazon: dict[str, Any] = {}
    if endpoint is None:
        amazon = {"use_dualstack_endpoint": parameters.usedualstack, "use_fips_endpoint": parameters.usefipsendpoint}
        s3["use_accelerate_endpoint"] = parameters.accelerate
    creating = get_session().create_client(
        "s3",
        region_name=parameters.region,
        endpoint_url=endpoint,
        use_ssl=parameters.secure,
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",  # noqa: S106 -- nothing is sent with it
        config=AioConfig(signature_version="s3v4", warm_up_loader_caches=True, s3=s3, **amazon),
    )
    async with creating as client:
        url = await client.generate_presigned_url("get_object", Params={"Bucket": parameters.bucket, "Key": PROBE})
    parts = urlsplit(url)
    _, _, region, service, _ = parse_qs(parts.query)["X-Amz-Credential"][0].split("/")
    port = parts.port
    default = {"http": 80, "https": 443}[parts.scheme]
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    host = host if port in (None, default) else f"{host}:{port}"
    return Place(f"{parts.scheme}://{host}", host, parts.path.removesuffix(PROBE), Signer(region, service))


class Keys:
    """The key that requests are signed with: the configured one, or what is found elsewhere.

    Args:
        parameters: of the driver.
    """

    def __init__(self, parameters: S3Parameters) -> None:
        self._given = Credentials(parameters.accesskey, parameters.secretkey, parameters.sessiontoken)
        self._finding = asyncio.Lock()
        self._found: Any = None  # of the library, which renews it

    async def current(self) -> Credentials:
        """Return the key.

        Raises:
            BotoCoreError: there is none, or it could not be fetched.
        """
        if self._given.key:
            return self._given
        found = self._found or await self._find()
        frozen = await found.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")

    async def _find(self) -> Any:
        async with self._finding:
            if self._found is None:  # another request may have found it while this one waited
                # What is not there may be there later: nobody remembers that it was not.
                self._found = await get_session().get_credentials()
            if self._found is None:
                raise NoCredentialsError
            return self._found


def endpoint_url(given: str, *, secure: bool) -> str | None:
    """Return the URL of an endpoint that may be given without a scheme; None for the region's own."""
    if not given:
        return None
    url = given if "://" in given else f"{'https' if secure else 'http'}://{given}"
    return url.rstrip("/")
