"""The rules of ``validation.manifests``: limits, foreign URLs, and which children an index must have.

Source: Distribution's ``docs/content/about/configuration.md`` and that of GitLab's fork, "validation".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from matou.registry.errors import RegistryError

if TYPE_CHECKING:
    from matou.config.distribution import Configuration
    from matou.registry.content.manifests import Manifest


@dataclass(frozen=True, slots=True)
class ValidationRules:
    """What a manifest must obey.

    Attributes:
        allow: one of these must match each foreign URL, when there are any.
        deny: none of these may match.
        platforms: (os, architecture) of the children that must exist; None means every child, and an empty set none.
        references: most references of a manifest; 0 means no limit.
        size: most bytes of a manifest; 0 means no limit here.
    """

    allow: tuple[re.Pattern[str], ...]
    deny: tuple[re.Pattern[str], ...]
    platforms: frozenset[tuple[str, str]] | None
    references: int = 0
    size: int = 0

    @classmethod
    def from_configuration(cls, configuration: Configuration) -> ValidationRules:
        """Read the rules."""
        validation = configuration.validation
        if not validation.is_enabled:
            return cls((), (), frozenset())
        urls, indexes = validation.manifests.urls, validation.manifests.indexes
        platforms: frozenset[tuple[str, str]] | None = None
        if indexes.platforms == "none":
            platforms = frozenset()
        elif indexes.platforms == "list":
            platforms = frozenset((entry.os, entry.architecture) for entry in indexes.platformlist)
        # Distribution refuses every URL where no rule is given. The specification's conformance tests push images with
        # such layers to a registry as it is, and whoever wants none can say so: deny: ['.'].
        return cls(
            tuple(re.compile(pattern) for pattern in urls.allow),
            tuple(re.compile(pattern) for pattern in urls.deny),
            platforms,
            validation.manifests.referencelimit,
            validation.manifests.payloadsizelimit,
        )

    def check(self, manifest: Manifest, size: int) -> None:
        """Check a manifest that is pushed.

        Args:
            manifest: parsed.
            size: of its content, bytes.

        Raises:
            RegistryError: MANIFEST_SIZE_LIMIT, MANIFEST_REFERENCE_LIMIT or MANIFEST_INVALID.
        """
        if self.size and size > self.size:
            raise RegistryError("MANIFEST_SIZE_LIMIT", detail={"size": size, "limit": self.size})
        references = len(manifest.children) + len(manifest.layers) + (manifest.config is not None)
        if self.references and references > self.references:
            raise RegistryError("MANIFEST_REFERENCE_LIMIT", detail={"references": references, "limit": self.references})
        self.check_foreign_urls(manifest)

    def check_foreign_urls(self, manifest: Manifest) -> None:
        """Check the URLs of the layers that lie elsewhere.

        Raises:
            RegistryError: MANIFEST_INVALID.
        """
        for layer in manifest.layers:
            for url in layer.urls:
                reason = self._refusal(url)
                if reason:
                    raise RegistryError(
                        "MANIFEST_INVALID", detail={"digest": layer.digest, "url": url, "reason": reason}
                    )

    def _refusal(self, url: str) -> str | None:
        try:
            parts = urlsplit(url)
        except ValueError:
            return "is not a URL"
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.fragment:
            return "must be an absolute http or https URL without a fragment"
        if self.allow and not any(pattern.search(url) for pattern in self.allow):
            return "is not allowed by validation.manifests.urls.allow"
        if any(pattern.search(url) for pattern in self.deny):
            return "is denied by validation.manifests.urls.deny"
        return None

    def required_children(self, manifest: Manifest) -> tuple[str, ...]:
        """Return the digests of the children that the repository must hold."""
        if self.platforms is None:
            return manifest.child_references
        return tuple(
            child.digest
            for child in manifest.children
            if ((child.platform or {}).get("os"), (child.platform or {}).get("architecture")) in self.platforms
        )
