"""The key that signs requests: of the configuration, of the environment, or of the role of a pod or an ECS instance."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

from alibabacloud_oss_v2.credentials import EnvironmentVariableCredentialsProvider, StaticCredentialsProvider

from matou.registry.drivers.oss import workload_identity
from matou.registry.drivers.oss.instance_role import InstanceRole

if TYPE_CHECKING:
    from matou.config.sections.oss import OssParameters

VARIABLES = ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET")  # and OSS_SESSION_TOKEN, which may be missing


class CredentialsProvider(Protocol):
    """What the library asks for a key, and what is done before it asks."""

    def get_credentials(self) -> Any:
        """Return the key, in the library's form."""
        ...

    async def refresh(self) -> None:
        """Make sure that there is a key which is good for a while.

        Raises:
            StorageError: there is none.
        """
        ...


class _Lasting:
    """A provider of the library, whose key does not change."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def get_credentials(self) -> Any:
        """See ``CredentialsProvider.get_credentials``."""
        return self._provider.get_credentials()

    async def refresh(self) -> None:
        """See ``CredentialsProvider.refresh``."""


def credentials_of(parameters: OssParameters) -> CredentialsProvider:
    """Return what gives the key: the configuration, else the environment, else the machine."""
    if parameters.accesskeyid:
        return _Lasting(StaticCredentialsProvider(parameters.accesskeyid, parameters.accesskeysecret))
    if all(os.environ.get(name) for name in VARIABLES):
        return _Lasting(EnvironmentVariableCredentialsProvider())
    if all(os.environ.get(name) for name in workload_identity.VARIABLES):
        return workload_identity.WorkloadIdentity()
    return InstanceRole()
