"""The few files that pages load: read once, and addressed with a digest of the content, so that browsers keep them."""

from __future__ import annotations

import hashlib
import importlib.resources
import mimetypes
from dataclasses import dataclass

DIGEST_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Asset:
    """A file.

    Attributes:
        content: all of it.
        media_type: for ``Content-Type``.
        version: changes with the content.
    """

    content: bytes
    media_type: str
    version: str


class Assets:
    """All of them.

    Args:
        by_name: the files by their names.
    """

    def __init__(self, by_name: dict[str, Asset]) -> None:
        self._by_name = by_name

    @classmethod
    def load(cls) -> Assets:
        """Read the files of this package."""
        found = {}
        for file in (importlib.resources.files("matou.portal.web") / "assets").iterdir():
            content = file.read_bytes()
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            if kind.startswith("text/"):
                kind += "; charset=utf-8"
            found[file.name] = Asset(content, kind, hashlib.sha256(content).hexdigest()[:DIGEST_LENGTH])
        return cls(found)

    def find(self, name: str) -> Asset | None:
        """Return a file by its name."""
        return self._by_name.get(name)

    def address(self, name: str) -> str:
        """Return the path under which a page loads a file.

        Raises:
            KeyError: there is none.
        """
        return f"/assets/{name}?v={self._by_name[name].version}"
