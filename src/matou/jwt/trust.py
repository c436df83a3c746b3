"""The public keys and certificates by which a registry recognises the tokens that it may believe.

Sources: Distribution's ``auth.token.rootcertbundle`` and ``jwks``; RFC 7515 (header parameters); RFC 5280 (certificate
paths).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification
from cryptography.x509.oid import ExtensionOID
from joserfc.util import urlsafe_b64encode

from matou.jwt.keyids import JoseKey, UnsupportedKeyError, as_jwk, as_public_key, libtrust_fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_CHAIN = 6  # certificates in x5c; the depth that public certificate authorities need is 3
MAX_REASON = 300  # characters of another library's error message
MAX_TRIED = 16  # keys tried on a token that names none of them
_CHECKED_EXTENSIONS = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)


class UntrustedKeyError(Exception):
    """A token's header leads to no trusted key; the text says why."""


class SigningKey(NamedTuple):
    """A trusted key, and until when (seconds since 1970) it may be trusted; infinity when no certificate limits it."""

    key: JoseKey
    valid_until: float


class TrustedKeys:
    """An immutable set of trusted keys.

    Args:
        certificates: each one's key is trusted by its ids, whatever the certificate's dates (as in Distribution); each
            is also a root for ``x5c`` chains, where dates count.
        named_keys: further public keys with the ids by which tokens name them (from a JWKS).
    """

    def __init__(
        self, certificates: Sequence[x509.Certificate] = (), named_keys: Iterable[tuple[str, JoseKey]] = ()
    ) -> None:
        self._roots = list(certificates)
        self._root_ders = {certificate.public_bytes(Encoding.DER) for certificate in certificates}
        self._by_id: dict[str, JoseKey] = {}
        self._all: dict[str, JoseKey] = {}
        self.skipped: list[str] = []
        for certificate in certificates:
            try:
                self._add("", as_jwk(as_public_key(certificate.public_key())))
            except (UnsupportedKeyError, ValueError) as error:
                # Such a certificate can still be the root of a chain whose leaf has a usable key.
                self.skipped.append(f"certificate {certificate.subject.rfc4514_string()!r}: {error}")
        for name, key in named_keys:
            self._add(name, key)

    def _add(self, name: str, key: JoseKey) -> None:
        thumbprint = key.thumbprint()
        self._all.setdefault(thumbprint, key)
        self._by_id.setdefault(thumbprint, key)
        self._by_id.setdefault(libtrust_fingerprint(as_public_key(key.public_key)), key)
        if name:
            self._by_id[name] = key

    def __len__(self) -> int:
        return len(self._all)

    def knows(self, kid: object) -> bool:
        """Whether a token's ``kid`` names one of the keys."""
        return isinstance(kid, str) and kid in self._by_id

    @property
    def ids(self) -> list[str]:
        """All ids by which a token may name a key: for the log and for diagnosis."""
        return sorted(self._by_id)

    def candidates(self, header: dict[str, Any], now: float) -> list[SigningKey]:
        """Find the keys that may have signed a token, by its header: ``x5c``, else ``jwk``, else ``kid``.

        A ``kid`` that is absent or unknown leaves all keys as candidates, because services derive it in their own ways.

        Raises:
            UntrustedKeyError: ``x5c`` or ``jwk`` is malformed or not trusted; nothing else is tried then.
        """
        if header.get("x5c") is not None:
            return [self._key_of_chain(header["x5c"], now)]
        if header.get("jwk") is not None:
            return [self._key_of_jwk(header["jwk"], now)]
        kid = header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise UntrustedKeyError("kid is not a string")
        named = self._by_id.get(kid) if kid else None
        if named is not None:
            return [SigningKey(named, float("inf"))]
        return [SigningKey(key, float("inf")) for key in list(self._all.values())[:MAX_TRIED]]

    def _key_of_jwk(self, jwk: object, now: float) -> SigningKey:
        if not isinstance(jwk, dict):
            raise UntrustedKeyError("jwk is not an object")
        thumbprint = _jwk_thumbprint(jwk)
        if jwk.get("x5c") is not None:
            found = self._key_of_chain(jwk["x5c"], now)
            if found.key.thumbprint() != thumbprint:
                raise UntrustedKeyError("jwk: its key is not that of its first certificate")
            return found
        trusted = self._all.get(thumbprint)
        if trusted is None:
            raise UntrustedKeyError(f"token signed by untrusted key with ID: {json.dumps(thumbprint)} (jwk)")
        return SigningKey(trusted, float("inf"))  # never the key object of the header

    def _key_of_chain(self, x5c: object, now: float) -> SigningKey:
        chain = _parse_chain(x5c)
        leaf = chain[0]
        moment = dt.datetime.fromtimestamp(now, dt.UTC)
        if not self._roots:
            raise UntrustedKeyError("x5c: no rootcertbundle is configured to verify it against")
        if leaf.public_bytes(Encoding.DER) in self._root_ders:
            if not leaf.not_valid_before_utc <= moment <= leaf.not_valid_after_utc:
                raise UntrustedKeyError("x5c: the certificate is not valid now")
            path = [leaf]
        else:
            path = _verified_path(leaf, chain[1:], self._roots, moment)
        for certificate in path:
            _check_extensions(certificate)
        usage = _key_usage(leaf)
        if usage is not None and not usage.digital_signature:
            raise UntrustedKeyError("x5c: the first certificate's key usage does not include digital signatures")
        try:
            key = as_jwk(as_public_key(leaf.public_key()))
        except (UnsupportedKeyError, ValueError) as error:
            raise UntrustedKeyError(f"x5c: {error}") from error
        return SigningKey(key, min(certificate.not_valid_after_utc for certificate in path).timestamp())


def _jwk_thumbprint(jwk: dict[str, Any]) -> str:
    """Compute RFC 7638's thumbprint of a JWK that may say anything."""
    members = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
    kind = jwk.get("kty")
    names = members.get(kind) if isinstance(kind, str) else None
    if names is None or not all(isinstance(jwk.get(name), str) for name in names):
        raise UntrustedKeyError("jwk is not a public RSA, EC or OKP key")
    canonical = json.dumps({name: jwk[name] for name in names}, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).digest()
    return urlsafe_b64encode(digest).decode("ascii")


def _parse_chain(x5c: object) -> list[x509.Certificate]:
    if not isinstance(x5c, list) or not x5c or not all(isinstance(item, str) for item in x5c):
        raise UntrustedKeyError("x5c is not a list of base64 certificates")
    if len(x5c) > MAX_CHAIN:
        raise UntrustedKeyError(f"x5c has {len(x5c)} certificates; at most {MAX_CHAIN} are accepted")
    try:
        return [x509.load_der_x509_certificate(base64.b64decode(item, validate=True)) for item in x5c]
    except (ValueError, binascii.Error) as error:
        raise UntrustedKeyError("x5c: a certificate is malformed") from error


def _verified_path(
    leaf: x509.Certificate, others: list[x509.Certificate], roots: list[x509.Certificate], moment: dt.datetime
) -> list[x509.Certificate]:
    policy = verification.ExtensionPolicy
    authority = (
        policy.permit_all()
        .require_present(x509.BasicConstraints, verification.Criticality.AGNOSTIC, None)
        .may_be_present(x509.KeyUsage, verification.Criticality.AGNOSTIC, _signs_certificates)
    )
    builder = (
        verification.PolicyBuilder()
        .store(verification.Store(roots))
        .time(moment.replace(tzinfo=None))
        .max_chain_depth(MAX_CHAIN)
        .extension_policies(ee_policy=policy.permit_all(), ca_policy=authority)
    )
    try:
        return list(builder.build_client_verifier().verify(leaf, others).chain)
    except (verification.VerificationError, ValueError) as error:
        # The text may quote the certificates' names, which whoever sent the token chose.
        text = "".join(character if character.isprintable() else "?" for character in str(error))[:MAX_REASON]
        raise UntrustedKeyError(f"x5c: no valid path to a certificate of rootcertbundle: {text}") from error


def _signs_certificates(
    _policy: verification.Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None
) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an issuer's key usage does not include signing certificates")


def _check_extensions(certificate: x509.Certificate) -> None:
    try:
        for extension in certificate.extensions:
            if extension.critical and extension.oid not in _CHECKED_EXTENSIONS:
                raise UntrustedKeyError(f"x5c: critical extension {extension.oid.dotted_string} is not understood")
    except ValueError as error:  # duplicate or malformed extensions
        raise UntrustedKeyError("x5c: a certificate's extensions are malformed") from error


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
