"""The trusted keys as the files of ``rootcertbundle`` and ``jwks`` have them at the moment.

Reading them again when they change lets an administrator rotate keys without a restart.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from matou.jwt.jwks import load_jwks
from matou.jwt.keyfiles import KeyFileError, load_certificates
from matou.jwt.trust import TrustedKeys

if TYPE_CHECKING:
    from pathlib import Path

Signature = tuple[int, int, int, int] | None

log = logging.getLogger("matou.registry")


def file_signature(path: Path) -> Signature:
    """Return what changes when a file's content does; None when the file cannot be examined."""
    try:
        status = os.stat(path)  # noqa: PTH116 -- Path.stat costs twice as much, and this runs while clients wait
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev


class KeySource:
    """Trusted keys that follow their files.

    Args:
        rootcertbundle: PEM certificates, or None.
        jwks: a JWKS, or None.

    Raises:
        KeyFileError: a file cannot be used, or there is no key in them.
    """

    def __init__(self, rootcertbundle: Path | None, jwks: Path | None) -> None:
        self._rootcertbundle = rootcertbundle
        self._jwks = jwks
        # Taken before reading: a change in between is then seen by the next refresh.
        self._signatures = self._current_signatures()
        self.keys = self._load()
        self._report()

    def refresh(self) -> bool:
        """Read the files again if one changed; keep the keys when what is there now cannot be used.

        Returns:
            whether ``keys`` was replaced.
        """
        signatures = self._current_signatures()
        if signatures == self._signatures:
            return False
        self._signatures = signatures
        try:
            self.keys = self._load()
        except KeyFileError as error:
            log.error("token keys changed but cannot be used, the former ones stay trusted: %s", error)  # noqa: TRY400 -- the text says all
            return False
        self._report()
        return True

    def _current_signatures(self) -> tuple[Signature, ...]:
        return tuple(file_signature(path) for path in (self._rootcertbundle, self._jwks) if path is not None)

    def _load(self) -> TrustedKeys:
        certificates = load_certificates(self._rootcertbundle) if self._rootcertbundle is not None else []
        named = load_jwks(self._jwks) if self._jwks is not None else []
        keys = TrustedKeys(certificates, named)
        if not certificates and not len(keys):
            raise KeyFileError(
                "token auth requires at least one token signing key: give auth.token.rootcertbundle or auth.token.jwks"
            )
        return keys

    def _report(self) -> None:
        for reason in self.keys.skipped:
            log.warning("token auth: no key taken from %s", reason)
        log.info("token auth trusts keys with the IDs %s", ", ".join(self.keys.ids))
