"""A storage account: where its service is, and what authorises requests.

Source: https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string,
https://learn.microsoft.com/rest/api/storageservices/create-service-sas.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.storage.blob import BlobSasPermissions, ContainerSasPermissions, generate_blob_sas, generate_container_sas

from matou.config.sections.azure import parse_connection_string
from matou.registry.drivers.azure.errors import Setup
from matou.registry.drivers.base import StorageError

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.pipeline.transport import AsyncHttpTransport
    from azure.storage.blob import UserDelegationKey

    from matou.config.sections.azure import AzureParameters

PUBLIC_SUFFIX = "core.windows.net"
AUTHORITIES = {"core.chinacloudapi.cn": "login.chinacloudapi.cn", "core.usgovcloudapi.net": "login.microsoftonline.us"}
NAME_SAFE = "~/"  # characters of names that the service and its libraries do not quote


@dataclass(frozen=True, slots=True)
class Account:
    """An account.

    Attributes:
        name: of it.
        endpoint: URL of its service, without a slash at its end.
        container: name of the container.
        authentication: as in ``AzureParameters``.
        key: base64, or "".
        signature: shared access signature, or "".
        application: tenant, client and secret of ``client_secret``.
        authority: host that gives tokens, or "" for the public one.
    """

    name: str
    endpoint: str
    container: str
    authentication: str
    key: str = ""
    signature: str = ""
    application: tuple[str, str, str] = ("", "", "")
    authority: str = ""

    @staticmethod
    def of(parameters: AzureParameters) -> Account:
        """Return the account of a configuration.

        Raises:
            StorageError: the key is none.
        """
        name, key, signature = parameters.accountname, parameters.accountkey, ""
        endpoint = f"https://{name}.blob.{parameters.realm}"
        if parameters.connectionstring:
            parts = parse_connection_string(parameters.connectionstring)
            signature = parts.get("sharedaccesssignature", "").lstrip("?")
            key = "" if signature else parts["accountkey"]
            name = parts.get("accountname", name)
            protocol, suffix = parts.get("defaultendpointsprotocol", "https"), parts.get("endpointsuffix", "")
            endpoint = parts.get("blobendpoint") or f"{protocol}://{name}.blob.{suffix or PUBLIC_SUFFIX}"
        endpoint = parameters.serviceurl or endpoint
        account = Account(
            name or _account_of(endpoint),
            endpoint.rstrip("/"),
            parameters.container,
            parameters.authentication,
            key if parameters.authentication in ("shared_key", "connectionstring") else "",
            signature,
            parameters.application,
            "" if "AZURE_AUTHORITY_HOST" in os.environ else AUTHORITIES.get(parameters.realm, ""),
        )
        account._check_key()
        return account

    def _check_key(self) -> None:
        try:
            base64.b64decode(self.key, validate=True)
        except binascii.Error as error:
            raise StorageError(
                f"azure: the key of the account {self.name} (storage.azure.accountkey or connectionstring) is not "
                f"base64: {error}; copy it from the account's access keys"
            ) from None

    @property
    def setup(self) -> Setup:
        """What messages name."""
        host = urlsplit(self.endpoint).hostname or self.endpoint
        return Setup(self.name, host, self.container, self.authentication)

    def url(self, name: str) -> str:
        """Return the URL of a blob, which authorises nothing."""
        return f"{self.endpoint}/{quote(self.container)}/{quote(name, safe=NAME_SAFE)}"

    def source_url(self, name: str) -> str:
        """Return the URL of a blob, for the service to copy from on behalf of who may read it here.

        Within the account key and token count for the source, too; a signature must be in its URL.
        """
        return f"{self.url(name)}?{self.signature}" if self.signature else self.url(name)

    def credential(
        self, transport: AsyncHttpTransport[Any, Any]
    ) -> AzureNamedKeyCredential | AzureSasCredential | AsyncTokenCredential:
        """Return what authorises requests of the client; a token credential must be closed.

        Args:
            transport: by which tokens are fetched; closed with the credential.
        """
        if self.key:
            return AzureNamedKeyCredential(self.name, self.key)
        if self.signature:
            return AzureSasCredential(self.signature)
        # Loads much, which keys don't need.
        from azure.identity.aio import ClientSecretCredential, DefaultAzureCredential  # noqa: PLC0415

        authority = {"authority": self.authority} if self.authority else {}
        if self.authentication == "client_secret":
            tenant, client, secret = self.application
            return ClientSecretCredential(tenant, client, secret, transport=transport, **authority)
        return DefaultAzureCredential(
            exclude_developer_cli_credential=True,
            exclude_powershell_credential=True,
            exclude_shared_token_cache_credential=True,
            exclude_visual_studio_code_credential=True,
            transport=transport,
            **authority,
        )

    def sign_reading(self, seconds: float) -> str:
        """Return a signature of the account's key by which all blobs of the container can be read."""
        return generate_container_sas(
            self.name,
            self.container,
            account_key=self.key,
            permission=ContainerSasPermissions(read=True),
            expiry=_in(seconds),
            protocol=self._protocol,
        )

    def sign_blob(self, name: str, seconds: float, delegation: UserDelegationKey | None = None) -> str:
        """Return a signature by which one blob can be read.

        Args:
            name: of the blob.
            seconds: how long it is good.
            delegation: signs it instead of the account's key.
        """
        return generate_blob_sas(
            self.name,
            self.container,
            name,
            account_key=None if delegation else self.key,
            user_delegation_key=delegation,
            permission=BlobSasPermissions(read=True),
            expiry=_in(seconds),
            protocol=self._protocol,
        )

    @property
    def _protocol(self) -> str | None:
        return "https" if self.endpoint.startswith("https:") else None


def _in(seconds: float) -> datetime:
    # The service counts whole seconds: the last one shall not be cut off.
    return datetime.now(UTC) + timedelta(seconds=seconds + 1)


def _account_of(endpoint: str) -> str:
    """Return the account that a service's URL names: in the host, or in the path where the host is an address."""
    found = urlsplit(endpoint)
    path = found.path.strip("/")
    return path or (found.hostname or "").split(".", 1)[0]
