"""Who the registry is at Google: the configured account, or what Google's programs find in their environment.

Sources: https://google.aip.dev/auth/4110 (Application Default Credentials), https://google.aip.dev/auth/4112 (service
account keys), https://google.aip.dev/auth/4117 (workload identity federation).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google.auth
from google.auth import aws, exceptions, identity_pool, impersonated_credentials, pluggable
from google.oauth2 import credentials as user_credentials
from google.oauth2 import service_account

from matou.registry.drivers.base import StorageError, Unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.auth.credentials import Credentials

    from matou.config.sections.drivers import GcsParameters

# A service account's key signs URLs by itself; whoever has none needs a token with which IAM signs, too.
STORAGE_SCOPE = ("https://www.googleapis.com/auth/devstorage.read_write",)
PLATFORM_SCOPE = ("https://www.googleapis.com/auth/cloud-platform",)
AWS_TOKEN = "urn:ietf:params:aws:token-type:aws4_request"  # noqa: S105 -- the name of a kind of token
LARGEST_KEY_FILE = 1 << 20
VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
KINDS = ("service_account", "external_account", "authorized_user", "impersonated_service_account")


@dataclass(frozen=True, slots=True)
class CredentialSource:
    """Where credentials come from.

    Attributes:
        name: to tell a person, with the setting.
        load: returns them; may ask the network, so it belongs in a thread. Raises ``StorageError``.
        account: with a key of its own, when there is one.
    """

    name: str
    load: Callable[[], Credentials]
    account: service_account.Credentials | None = None


def credential_source(parameters: GcsParameters) -> CredentialSource:
    """Return where the credentials come from; a file, or what the configuration itself has, is read at once.

    ``keyfile`` comes before ``credentials``, as in Distribution; with neither they are found as Google's programs do.

    Raises:
        StorageError: they cannot be used.
    """
    file = os.environ.get(VARIABLE, "")
    if parameters.keyfile:
        name = f"storage.gcs.keyfile ({parameters.keyfile})"
        found = _from_info(_read(parameters.keyfile, name), name)
    elif parameters.credentials:
        name = "storage.gcs.credentials"
        found = _from_info(parameters.credentials, name)
    elif file:
        name = f"{VARIABLE} ({file})"
        found = _from_info(_read(file, name), name)
    else:
        return CredentialSource("Application Default Credentials", _default)
    return CredentialSource(name, lambda: found, found if isinstance(found, service_account.Credentials) else None)


def _read(path: str, name: str) -> Mapping[str, Any]:
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST_KEY_FILE)
    except OSError as error:
        raise StorageError(
            f"{name} cannot be read: {error.strerror}; give the path of the service account's JSON key file, which the "
            "registry's user may read"
        ) from error
    try:
        info = json.loads(content)
    except ValueError:
        info = None
    if not isinstance(info, dict):
        raise StorageError(f"{name} is not a key file: it holds no JSON object; download the key again, as JSON")
    return info


def _from_info(info: Mapping[str, Any], name: str) -> Credentials:
    """Return the credentials that a key file, or the map of its name in the configuration, describes."""
    kind = info.get("type")
    if kind not in KINDS:
        raise StorageError(
            f"{name} is of the type {kind!r}; expected a service account's key (service_account), or one of "
            f"{', '.join(KINDS[1:])}"
        )
    try:
        return _of_kind(kind, dict(info))
    except (exceptions.GoogleAuthError, ValueError, TypeError, KeyError, AttributeError):
        # The library's message may quote the key.
        raise StorageError(
            f"{name} has no usable {kind}: a field is missing, or the private key is damaged; download the key again"
        ) from None


def _of_kind(kind: str, info: dict[str, Any]) -> Credentials:
    found: Credentials
    if kind == "service_account":
        found = service_account.Credentials.from_service_account_info(info, scopes=STORAGE_SCOPE)
    elif kind == "authorized_user":
        found = user_credentials.Credentials.from_authorized_user_info(info)
    elif kind == "impersonated_service_account":
        found = impersonated_credentials.Credentials.from_impersonated_service_account_info(info, scopes=PLATFORM_SCOPE)
    elif info.get("subject_token_type") == AWS_TOKEN:
        found = aws.Credentials.from_info(info, scopes=PLATFORM_SCOPE)
    elif "executable" in info["credential_source"]:
        found = pluggable.Credentials.from_info(info, scopes=PLATFORM_SCOPE)
    else:
        found = identity_pool.Credentials.from_info(info, scopes=PLATFORM_SCOPE)
    return found


def _default() -> Credentials:
    try:
        found, _ = google.auth.default(scopes=PLATFORM_SCOPE)
    except exceptions.DefaultCredentialsError as error:
        raise Unusable(
            f"no Google credentials were found ({str(error.args[0]).split('. ', 1)[0].rstrip('.')}): set "
            f"storage.gcs.keyfile, or {VARIABLE}, or run the registry on a machine that has a service account"
        ) from error
    return found
