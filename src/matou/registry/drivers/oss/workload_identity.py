"""The temporary key of a RAM role that a pod of a Kubernetes cluster has (RRSA of ACK): its token is exchanged for it.

Source: RAM developer reference, "AssumeRoleWithOIDC"; Alibaba's library of credentials for the variables.
"""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from matou.registry.drivers.base import Transient, Unusable
from matou.registry.drivers.oss.temporary_key import Key, TemporaryKey
from matou.registry.drivers.proxies import Proxies, failure_of_proxy

if TYPE_CHECKING:
    from collections.abc import Mapping

ROLE, PROVIDER, TOKEN_FILE = VARIABLES = (
    "ALIBABA_CLOUD_ROLE_ARN",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
)
SESSION_NAME = "ALIBABA_CLOUD_ROLE_SESSION_NAME"
REGION = "ALIBABA_CLOUD_STS_REGION"
WITHIN_VPC = "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED"
LIFETIME = "3600"  # seconds: the most that a role permits unless somebody has raised it
LARGEST_TOKEN = 64 << 10  # bytes
SECONDS = aiohttp.ClientTimeout(total=20, sock_connect=5)
SERVER_ERROR = 500


def token_service(environment: Mapping[str, str]) -> str:
    """Return the URL of the token service."""
    region = environment.get(REGION, "")
    if not region:
        return "https://sts.aliyuncs.com"
    prefix = "sts-vpc" if environment.get(WITHIN_VPC, "").lower() == "true" else "sts"
    return f"https://{prefix}.{region}.aliyuncs.com"


class WorkloadIdentity(TemporaryKey):
    """A provider of credentials for the library.

    Args:
        service: URL of the token service; "" for what the environment says.
    """

    def __init__(self, service: str = "") -> None:
        super().__init__()
        self._service = service or token_service(os.environ)
        self._proxies = Proxies()

    async def _fetch(self) -> Key:
        said = {
            "RoleArn": os.environ.get(ROLE, ""),
            "OIDCProviderArn": os.environ.get(PROVIDER, ""),
            "OIDCToken": await asyncio.to_thread(_token, os.environ.get(TOKEN_FILE, "")),
            "RoleSessionName": os.environ.get(SESSION_NAME) or "matou",
            "DurationSeconds": LIFETIME,
        }
        query = {
            "Action": "AssumeRoleWithOIDC",
            "Format": "JSON",
            "Version": "2015-04-01",
            "Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        what = f"OSS: the token service {self._service}"
        try:
            async with (
                aiohttp.ClientSession(timeout=SECONDS, proxy=self._proxies.of(self._service)) as session,
                session.post(self._service, params=query, data=said) as answer,
            ):
                status, content = answer.status, await answer.read()
        except (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError) as error:
            raise failure_of_proxy(what, error) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Transient(f"{what} does not answer ({type(error).__name__}); {REGION} names another one") from error
        return _key(status, content, what, said["RoleArn"])


def _key(status: int, content: bytes, what: str, role: str) -> Key:
    """Return the key of an answer."""
    if status >= SERVER_ERROR:
        raise Transient(f"{what} answered {status}")
    document: Any = None
    try:
        document = json.loads(content)
        return Key.of(document["Credentials"])
    except (KeyError, TypeError, ValueError):
        pass
    # Nothing of the answer but the code: it may repeat the token.
    code = document.get("Code") if isinstance(document, dict) else None
    reason = str(code)[:100] if code else f"status {status}"
    raise Unusable(
        f"{what} gives no key for the role {role} ({reason}): check {', '.join(VARIABLES)}, and the role's trust policy"
    )


def _token(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return file.read(LARGEST_TOKEN).decode("ascii").strip()
    except (OSError, ValueError) as error:
        raise Unusable(
            f"OSS: the token in {path} cannot be read ({error}): {TOKEN_FILE} must name the token of the pod's service "
            "account"
        ) from error
