"""The key that signs requests: of the configuration, or of the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from alibabacloud_oss_v2.credentials import EnvironmentVariableCredentialsProvider, StaticCredentialsProvider

from matou.registry.drivers.base import StorageError

if TYPE_CHECKING:
    from matou.config.sections.oss import OssParameters

VARIABLES = ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET")  # and OSS_SESSION_TOKEN, which may be missing


def credentials_of(parameters: OssParameters) -> Any:
    """Return the library's provider of credentials.

    Raises:
        StorageError: the configuration has no key, and neither has the environment.
    """
    if parameters.accesskeyid:
        return StaticCredentialsProvider(parameters.accesskeyid, parameters.accesskeysecret)
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        raise StorageError(
            "OSS: there is no key: set storage.oss.accesskeyid and storage.oss.accesskeysecret, or "
            f"{' and '.join(missing)} in the environment"
        )
    return EnvironmentVariableCredentialsProvider()
