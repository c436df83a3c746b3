"""The files that hold the key pair of registry tokens.

The portal signs with the private key; the registry trusts the certificate (``auth.token.rootcertbundle``).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.oid import NameOID

from matou.jwt.keyids import PrivateKey, PublicKey, UnsupportedKeyError, as_jwk, libtrust_fingerprint
from matou.system.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY_BITS = 2048  # signs a token in under a millisecond; whoever wants more provides a key, which then is kept
VALIDITY = dt.timedelta(days=20 * 365)  # the registry trusts the key itself; a shorter time only breaks sites
CLOCK_SKEW = dt.timedelta(days=1)
MAX_BUNDLE_BYTES = 4 << 20


class KeyFileError(Exception):
    """A key or certificate file is missing, unreadable, malformed or does not fit its other half."""


def ensure_key_pair(key: Path, certificate: Path) -> None:
    """Make the key pair unless it exists; afterwards both files are there and belong together.

    A key without certificate gets a new self-signed certificate. Safe against a crash at any moment and against other
    processes that do the same.

    Args:
        key: PEM file of the private key; made with mode 0600.
        certificate: PEM file of its certificate, or a bundle that contains it; made with mode 0644.

    Raises:
        KeyFileError: a file cannot be read or written, the certificate is there but its key is not, or the two
            do not belong together.
    """
    try:
        if key.exists() and certificate.exists():  # nothing to write: works where the files are mounted read-only
            _check_pair(key, certificate)
            return
        key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        certificate.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with _lock(key.with_name(f".{key.name}.lock")):
            _ensure_locked(key, certificate)
    except OSError as error:
        raise KeyFileError(f"{error.filename or key}: {error.strerror}: cannot make the token key pair") from error


def _ensure_locked(key: Path, certificate: Path) -> None:
    if not key.exists():
        if certificate.exists():
            raise KeyFileError(
                f"{key}: missing, but its certificate {certificate} exists. Restore the key from a backup, or move the "
                "certificate away to have a new pair made (tokens already issued are then refused)."
            )
        # The key is placed first: a crash between the two leaves a key without certificate, which is repaired below.
        private = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        replace_file(key, _private_pem(private))
    if not certificate.exists():
        made = self_signed_certificate(load_private_key(key))
        replace_file(certificate, made.public_bytes(serialization.Encoding.PEM), 0o644)
        return
    _check_pair(key, certificate)


def _check_pair(key: Path, certificate: Path) -> None:
    wanted = libtrust_fingerprint(load_private_key(key).public_key())
    found = [_certificate_fingerprint(item) for item in load_certificates(certificate)]
    if wanted not in found:
        raise KeyFileError(
            f"{certificate}: no certificate of the key {key} in it: the key has ID {wanted}, the file has "
            f"{', '.join(found)}. Put the certificate of that key there, or move the file away to have one made."
        )


def _certificate_fingerprint(certificate: x509.Certificate) -> str:
    public_key = certificate.public_key()
    if isinstance(public_key, PublicKey):
        return libtrust_fingerprint(public_key)
    return f"an unsupported {type(public_key).__name__}"


def self_signed_certificate(private_key: PrivateKey, common_name: str = "Matou registry tokens") -> x509.Certificate:
    """Return a new certificate of the key for signatures only, valid from yesterday for twenty years."""
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private_key.public_key()), critical=False)
    )
    return builder.sign(private_key, None if isinstance(private_key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def load_private_key(path: Path) -> PrivateKey:
    """Read an unencrypted PEM private key (PKCS#8, PKCS#1 or SEC 1).

    Raises:
        KeyFileError: the file cannot be read, is not such a key, or the key cannot sign tokens.
    """
    content = read_key_file(path)
    try:
        private_key = serialization.load_pem_private_key(content, password=None)
        if not isinstance(private_key, PrivateKey):
            raise UnsupportedKeyError(f"{type(private_key).__name__} is not supported; expected RSA, EC or Ed25519")
        as_jwk(private_key)
    except (ValueError, TypeError) as error:  # TypeError: the key is encrypted
        raise KeyFileError(f"{path}: not a usable PEM private key without passphrase: {_first_line(error)}") from error
    return private_key


def load_certificates(path: Path) -> list[x509.Certificate]:
    """Read every certificate of a PEM bundle, in its order; other PEM blocks are ignored.

    Raises:
        KeyFileError: the file cannot be read, has no certificate, or one of them is malformed.
    """
    content = read_key_file(path)
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise KeyFileError(f"{path}: expected one or more PEM certificates: {_first_line(error)}") from error


def read_key_file(path: Path) -> bytes:
    """Return the content of a file of keys or certificates.

    Raises:
        KeyFileError: it cannot be read or is larger than ``MAX_BUNDLE_BYTES``.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BUNDLE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
    if len(content) > MAX_BUNDLE_BYTES:
        raise KeyFileError(f"{path}: larger than {MAX_BUNDLE_BYTES} bytes; not a PEM file of keys or certificates")
    return content


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _private_pem(private_key: PrivateKey) -> bytes:
    # PKCS#8 is what OpenSSL, Ruby and Go all read.
    return private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # released by the kernel when the process ends, however it ends
        yield
    finally:
        os.close(descriptor)
