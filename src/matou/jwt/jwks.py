"""Key sets: read those of others, publish our own.

Sources: RFC 7517 (JWK Set) and Distribution's ``auth.token.jwks``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from joserfc.errors import JoseError
from joserfc.jwk import import_key

from matou.jwt.keyfiles import KeyFileError, read_key_file
from matou.jwt.keyids import (
    JoseKey,
    PublicKey,
    UnsupportedKeyError,
    as_jwk,
    as_public_key,
    libtrust_fingerprint,
    rfc7638_thumbprint,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def load_jwks(path: Path) -> list[tuple[str, JoseKey]]:
    """Read the public signature keys of a JWKS file, each with its ``kid`` (or "").

    Symmetric keys, encryption keys and those of unsupported curves are left out: a registry holds no secret with which
    it could itself make tokens.

    Raises:
        KeyFileError: the file cannot be read, is not a JWKS, or a key in it is malformed.
    """
    try:
        document = json.loads(read_key_file(path))
    except (ValueError, RecursionError) as error:
        raise KeyFileError(f"{path}: not JSON: {error}") from error
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise KeyFileError(f'{path}: expected a JWKS, {{"keys": [...]}}')
    found: list[tuple[str, JoseKey]] = []
    for position, entry in enumerate(entries):
        where = f"{path}: keys[{position}]"
        if not isinstance(entry, dict):
            raise KeyFileError(f"{where}: expected an object")
        kid = entry.get("kid", "")
        if not isinstance(kid, str):
            raise KeyFileError(f"{where}: kid is not a string")
        if entry.get("kty") not in {"RSA", "EC", "OKP"} or entry.get("use", "sig") != "sig":
            continue
        try:
            imported = import_key(entry)
            if not isinstance(imported, JoseKey):
                continue
            public = as_jwk(as_public_key(imported.public_key))
        except UnsupportedKeyError:
            continue
        except (JoseError, ValueError, TypeError) as error:
            raise KeyFileError(f"{where}: {error}") from error
        found.append((kid, public))
    return found


def public_jwks(keys: Iterable[PublicKey]) -> dict[str, list[dict[str, Any]]]:
    """Return the key set with which others verify our tokens.

    Each key is in it under both of its ids. Distribution 3 looks a token's ``kid`` up in ``auth.token.jwks`` as it is
    written there, and knows the keys of its ``rootcertbundle`` by their RFC 7638 thumbprints only: with this key set it
    accepts tokens whose ``kid`` is a libtrust fingerprint.

    Raises:
        UnsupportedKeyError: a key cannot sign tokens.
    """
    return {
        "keys": [
            {**as_jwk(key).as_dict(private=False), "kid": kid, "use": "sig"}
            for key in keys
            for kid in (libtrust_fingerprint(key), rfc7638_thumbprint(key))
        ]
    }
