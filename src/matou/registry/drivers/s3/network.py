"""Whose certificates count.

Source: the AWS SDKs and Tools reference guide, "AWS_CA_BUNDLE" and ``ca_bundle``.
"""

from __future__ import annotations

import asyncio
import ssl

from aiobotocore.session import get_session
from botocore.httpsession import get_cert_path
from yarl import URL

from matou.registry.drivers.base import StorageError


async def trust(origin: str, proxy: URL | None, *, verified: bool) -> ssl.SSLContext | bool:
    """Return what connections trust: the authorities of the operating system, and those that Amazon's settings name.

    Args:
        origin: scheme, host and port of the service.
        proxy: between.
        verified: whether certificates count at all.

    Raises:
        StorageError: the settings name a file that cannot be used.
        BotoCoreError: there is no such profile.
    """
    if not verified:
        return False
    if URL(origin).scheme != "https" and (proxy is None or proxy.scheme != "https"):
        return True  # nothing asks for it
    return await asyncio.to_thread(_trusted, get_session().get_config_variable("ca_bundle"))


def _trusted(bundle: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(bundle or get_cert_path(verify=True))
    except OSError as error:  # of ssl, too
        raise StorageError(
            f"s3: no certificates can be read from {bundle}: {error.strerror or error}; correct AWS_CA_BUNDLE, or "
            "ca_bundle in the profile"
        ) from error
    return context
