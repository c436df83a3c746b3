"""The key that signs registry tokens, read again when its file changes.

Concurrency: used by all of the server's threads; the reference to the key is replaced as a whole.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from matou.jwt.keyfiles import KeyFileError, load_private_key

if TYPE_CHECKING:
    from pathlib import Path

    from matou.jwt.keyids import PrivateKey

log = logging.getLogger(__name__)


class SigningKey:
    """The private key in a file.

    Args:
        path: PEM file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loaded: tuple[tuple[int, int, int], PrivateKey] | None = None

    def get(self) -> PrivateKey:
        """Return the key that the file has now; the last good one while the file cannot be read.

        Raises:
            KeyFileError: there never was a good one.
        """
        loaded = self._loaded
        try:
            status = self._path.stat()
            identity = (status.st_ino, status.st_mtime_ns, status.st_size)
            if loaded is not None and loaded[0] == identity:
                return loaded[1]
            key = load_private_key(self._path)
        except (OSError, KeyFileError) as error:
            if loaded is None:
                if isinstance(error, OSError):
                    raise KeyFileError(f"{self._path}: {error.strerror}") from error
                raise
            log.error("the signing key cannot be read, going on with the last one: %s", error)  # noqa: TRY400 -- the message says it all
            return loaded[1]
        self._loaded = (identity, key)
        return key
