"""From the configuration to a store."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

from matou.registry.drivers.gcs.api import Api
from matou.registry.drivers.gcs.credentials import credential_source
from matou.registry.drivers.gcs.store import GcsStore
from matou.registry.drivers.gcs.tokens import Tokens
from matou.registry.drivers.gcs.url_signer import UrlSigner
from matou.registry.drivers.requests import RequestLimit, Requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matou.config.sections.drivers import GcsParameters
    from matou.registry.drivers.factory import Surroundings
    from matou.registry.drivers.gcs.credentials import CredentialSource

RETRIES = 8  # the last one comes about 20 seconds after the first attempt
EMULATOR = "STORAGE_EMULATOR_HOST"
UNIVERSE = "googleapis.com"  # but for clouds of their own


class Services(NamedTuple):
    """Where Google's services are.

    Attributes:
        storage: URL of Cloud Storage, without a slash at its end.
        iam: URL of IAM's service for credentials, likewise.
        is_emulator: whether the storage is no real one, which asks for no credentials.
    """

    storage: str
    iam: str
    is_emulator: bool = False


def services(universe: str, environment: Mapping[str, str]) -> Services:
    """Return where the services are.

    Args:
        universe: domain of Google's services: ``googleapis.com``, but for clouds of their own.
        environment: may name an emulator, as for Google's libraries.
    """
    iam = f"https://iamcredentials.{universe}"
    emulator = environment.get(EMULATOR, "").rstrip("/")
    if not emulator:
        return Services(f"https://storage.{universe}", iam)
    return Services(emulator if "://" in emulator else f"http://{emulator}", iam, is_emulator=True)


def open_store(parameters: GcsParameters, surroundings: Surroundings) -> GcsStore:
    """Return the store that the configuration names; no request is sent.

    Args:
        parameters: of the driver.
        surroundings: what it shares with others.

    Raises:
        StorageError: the credentials cannot be used.
    """
    where = services(UNIVERSE, os.environ)
    source: CredentialSource | None = None
    if not where.is_emulator or parameters.keyfile or parameters.credentials:
        source = credential_source(parameters)
        if source.account is not None:
            where = services(source.account.universe_domain, os.environ)
    requests = Requests(RETRIES, RequestLimit(0), surroundings.observer, patience=surroundings.patience)
    return build_store(parameters, source, where, requests)


def build_store(
    parameters: GcsParameters, source: CredentialSource | None, where: Services, requests: Requests
) -> GcsStore:
    """Return a store.

    Args:
        parameters: of the driver.
        source: of the credentials; None to send none.
        where: the services are.
        requests: repeat what fails.
    """
    api = Api(
        where.storage,
        parameters.bucket,
        Tokens(source),
        requests,
        concurrency=parameters.maxconcurrency,
        user_agent=parameters.useragent or f"matou/{version('matou')}",
        is_logged=parameters.debug_log,
    )
    root = parameters.rootdirectory.strip("/")
    return GcsStore(
        api,
        UrlSigner(api, source, where.iam),
        f"{root}/" if root else "",
        parameters.chunksize,
        is_parallel=parameters.parallelwalk,
    )
