"""Google's side of accounts: keys, access tokens for signed assertions, and IAM that signs.

Source: https://developers.google.com/identity/protocols/oauth2/service-account, RFC 7523, RFC 8693 for federation,
https://cloud.google.com/iam/docs/reference/credentials/rest.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

AUDIENCE = "https://oauth2.googleapis.com/token"
PROJECT = "matou-tests"
ACCOUNT = f"registry@{PROJECT}.iam.gserviceaccount.com"
TIMEFRAME = 300.0  # seconds that an assertion's times may differ from Google's clock
STORAGE_SCOPES = ("devstorage.read_write", "devstorage.full_control", "cloud-platform")
IAM_SCOPES = ("iam", "cloud-platform")
PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
SUBJECT_TOKEN = "of-the-identity-provider"
PERSON = "person@example.com"
REFRESH_TOKEN = "of-the-person"


class Refused(Exception):  # noqa: N818 -- what it is
    """A request of the OAuth protocol that is answered with an error."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.body = {"error": code, "error_description": description}


@dataclass
class Grant:
    """An access token."""

    account: str
    scopes: str
    until: float


@dataclass
class Account:
    """A service account: keys by their ids, those that Google keeps for itself (``system``) among them."""

    email: str
    keys: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict)
    is_disabled: bool = False

    def new_key(self) -> tuple[str, rsa.RSAPrivateKey]:
        identifier = secrets.token_hex(20)
        self.keys[identifier] = rsa.generate_private_key(65537, 2048)
        return identifier, self.keys[identifier]

    def has_signed(self, content: bytes, signature: bytes) -> bool:
        """Tell whether a signature is by one of the keys."""
        return any(_is_by(key, content, signature) for key in self.keys.values())


def _is_by(key: rsa.RSAPrivateKey, content: bytes, signature: bytes) -> bool:
    try:
        key.public_key().verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


class Accounts:
    """All accounts, and the tokens that they got.

    Attributes:
        clock: seconds that Google's clock is ahead of this machine's.
        life: seconds that an access token is good.
        signs: whether IAM signs for accounts that have a token.
    """

    def __init__(self) -> None:
        self.known: dict[str, Account] = {}
        self.grants: dict[str, Grant] = {}
        self.reset()

    def reset(self) -> None:
        """Be as at the start, but for accounts and tokens."""
        self.clock = 0.0
        self.life = 3600
        self.signs = True
        for account in self.known.values():
            account.is_disabled = False

    def now(self) -> float:
        return time.time() + self.clock

    def add(self, email: str) -> Account:
        """Make an account, with the key that Google keeps for itself."""
        account = Account(email)
        account.keys["system"] = rsa.generate_private_key(65537, 2048)
        self.known[email] = account
        return account

    def key_file(self, account: Account, token_url: str) -> dict[str, str]:
        """Make a key; return the content of its key file."""
        identifier, key = account.new_key()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": identifier,
            "private_key": pem.decode(),
            "client_email": account.email,
            "client_id": "1234567890",
            "token_uri": token_url,
        }

    def grant(self, account: str, scopes: str) -> dict[str, Any]:
        """Give a token; return the answer of a token service."""
        token = f"ya29.{secrets.token_urlsafe(40)}"
        self.grants[token] = Grant(account, scopes, self.now() + self.life)
        return {"access_token": token, "expires_in": self.life, "token_type": "Bearer"}

    def exchange(self, form: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the token service: an assertion of an account for an access token.

        Raises:
            Refused: as Google says it.
        """
        if form.get("refresh_token") == REFRESH_TOKEN and form.get("grant_type") == "refresh_token":
            return self.grant(PERSON, f"openid {PLATFORM}")
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            raise Refused("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type')}")
        signed, _, signature = str(form["assertion"]).rpartition(".")
        claims = json.loads(_decoded(signed.split(".")[1]))
        account = self.known.get(claims["iss"])
        if account is None:
            raise Refused("invalid_grant", "Invalid grant: account not found")
        header = json.loads(_decoded(signed.split(".")[0]))
        key = account.keys.get(header["kid"])
        if header["alg"] != "RS256" or key is None or not _is_by(key, signed.encode(), _decoded(signature)):
            raise Refused("invalid_grant", "Invalid JWT Signature.")
        if account.is_disabled:
            raise Refused("invalid_grant", "Invalid grant: account disabled")
        issued, expires = float(claims["iat"]), float(claims["exp"])
        is_timely = issued <= self.now() + TIMEFRAME and self.now() < expires <= self.now() + 3600 + TIMEFRAME
        if not is_timely or expires - issued > 3600:
            raise Refused(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your "
                "iat and exp values in the JWT claim.",
            )
        if claims["aud"] != AUDIENCE:
            raise Refused("invalid_grant", "Invalid JWT: Failed audience check.")
        return self.grant(account.email, claims["scope"])

    def federate(self, form: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the Security Token Service: an identity provider's token for one of Google's."""
        if form.get("subject_token") != SUBJECT_TOKEN:
            raise Refused("invalid_grant", "The subject token is not valid.")
        return self.grant(f"principal://{form['audience']}", str(form["scope"])) | {
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"
        }

    def holder(self, authorization: str, scopes: tuple[str, ...]) -> str | None:
        """Return who sends a token, if it is good for one of the scopes."""
        scheme, _, token = authorization.partition(" ")
        grant = self.grants.get(token)
        if scheme != "Bearer" or grant is None or grant.until <= self.now():
            return None
        given = {scope.rpartition("/")[2] for scope in grant.scopes.split()}
        return grant.account if given & set(scopes) else None

    def sign(self, email: str, content: bytes) -> bytes:
        """Sign as IAM does, with the key that Google keeps."""
        return self.known[email].keys["system"].sign(content, padding.PKCS1v15(), hashes.SHA256())


def write_key_file(folder: Path, content: Mapping[str, str]) -> Path:
    """Write a key file; return its path."""
    path = folder / f"key-{secrets.token_hex(4)}.json"
    path.write_text(json.dumps(content))
    return path


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
