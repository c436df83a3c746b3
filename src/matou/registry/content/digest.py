"""Digests: ``<algorithm>:<hexadecimal>``.

Source: OCI Image Specification 1.1, "Digests"; the registered algorithms are sha256 and sha512.
"""

from __future__ import annotations

import hashlib
import re

from matou.registry.errors import RegistryError

HEX_LENGTHS = {"sha256": 64, "sha512": 128}
DEFAULT_ALGORITHM = "sha256"

UNSUPPORTED_ALGORITHM = f"the algorithm is not supported; expected one of {', '.join(HEX_LENGTHS)}"

_HEX = re.compile(r"[0-9a-f]+")
_GRAMMAR = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]+")


class Digest(str):
    """A digest whose text is well formed; made by ``parse`` and ``of``, or directly from text that we stored."""

    __slots__ = ()

    @property
    def algorithm(self) -> str:
        """``sha256`` or ``sha512``."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """The hexadecimal digits."""
        return self.partition(":")[2]

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Check text from outside.

        Raises:
            RegistryError: DIGEST_INVALID.
        """
        algorithm, colon, digits = text.partition(":")
        length = HEX_LENGTHS.get(algorithm)
        if length is not None and len(digits) == length and _HEX.fullmatch(digits):
            return cls(text)
        if not colon or not _GRAMMAR.fullmatch(text):
            reason = "expected <algorithm>:<hexadecimal>"
        elif length is None:
            reason = UNSUPPORTED_ALGORITHM
        else:
            reason = f"expected {length} lower-case hexadecimal digits after {algorithm}:"
        raise RegistryError("DIGEST_INVALID", "digest parsing failed", detail={"digest": text[:256], "reason": reason})

    @classmethod
    def of(cls, content: bytes, algorithm: str = DEFAULT_ALGORITHM) -> Digest:
        """Return the digest of content."""
        return cls(f"{algorithm}:{hashlib.new(algorithm, content, usedforsecurity=True).hexdigest()}")
