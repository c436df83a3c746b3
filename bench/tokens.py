"""The key pair that the registries trust, and tokens for them.

Source: Docker's token specification; every registry of a run is given the same bundle.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from matou.jwt.keyfiles import ensure_key_pair, load_private_key
from matou.jwt.signing import sign

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ISSUER = "bench-issuer"
SERVICE = "bench-registry"
LIFETIME = 24 * 3600


class TokenSource:
    """Makes the key pair in ``directory`` and signs with it."""

    def __init__(self, directory: Path) -> None:
        self.bundle = directory / "token.crt"
        key = directory / "token.key"
        ensure_key_pair(key, self.bundle)
        self._key = load_private_key(key)

    def token(self, repositories: Iterable[str]) -> str:
        """Return a token for pull and push of these repositories and for the catalogue."""
        now = int(time.time())
        access: list[dict[str, object]] = [
            {"type": "repository", "name": name, "actions": ["pull", "push"]} for name in repositories
        ]
        access.append({"type": "registry", "name": "catalog", "actions": ["*"]})
        return sign(
            {
                "iss": ISSUER,
                "sub": "bench",
                "aud": SERVICE,
                "iat": now,
                "nbf": now - 60,
                "exp": now + LIFETIME,
                "jti": secrets.token_hex(16),
                "access": access,
            },
            self._key,
        )
