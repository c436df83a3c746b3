"""How the service is reached: through which proxy, and whose certificates count.

Source: the AWS SDKs and Tools reference guide, "AWS_CA_BUNDLE" and ``ca_bundle``; Amazon's library for what it makes of
``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``.
"""

from __future__ import annotations

import asyncio
import ssl

from aiobotocore.session import get_session
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies
from yarl import URL

from matou.registry.drivers.base import StorageError


def proxy_of(origin: str) -> URL | None:
    """Return the proxy that the environment names for a service, if it does.

    Args:
        origin: scheme, host and port of the service.

    Raises:
        StorageError: what it names is no HTTP proxy; the message does not quote it, as it may hold a password.
    """
    scheme = URL(origin).scheme
    given = get_environ_proxies(origin).get(scheme, "")
    if not given:
        return None
    try:
        # Many write host and port alone.
        proxy = URL(given if "://" in given else f"http://{given.lstrip('/')}")
        usable = proxy.scheme in ("http", "https") and bool(proxy.host)
    except ValueError:
        usable = False
    if not usable:
        raise StorageError(
            f"s3: {scheme.upper()}_PROXY of the environment is no URL of an HTTP proxy, such as "
            "http://proxy.example.com:3128; correct it, or name the storage in NO_PROXY"
        )
    return proxy


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
