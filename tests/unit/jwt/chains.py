"""Certificates for tests, made in memory."""

from __future__ import annotations

import base64
import datetime as dt
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from matou.jwt.keyids import PrivateKey

EPOCH = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


class Issued(NamedTuple):
    certificate: x509.Certificate
    key: PrivateKey

    @property
    def x5c(self) -> str:
        return base64.b64encode(self.certificate.public_bytes(Encoding.DER)).decode()


def usage(*, signature: bool = True, certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signature,
        content_commitment=False,
        key_encipherment=not signature,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


AUTHORITY = usage(signature=False, certificates=True)


def issue(
    name: str,
    issuer: Issued | None = None,
    *,
    authority: bool = False,
    key_usage: x509.KeyUsage | None = None,
    valid: tuple[dt.datetime, dt.datetime] = (EPOCH - 30 * DAY, EPOCH + 30 * DAY),
    path_length: int | None = None,
    critical: x509.ExtensionType | None = None,
    key: PrivateKey | None = None,
) -> Issued:
    """Make a certificate, self-signed unless an issuer is given."""

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    own = key or ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(issuer.certificate.subject if issuer else named(name))
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
        .add_extension(x509.BasicConstraints(ca=authority, path_length=path_length), critical=True)
    )
    if key_usage is not None:
        builder = builder.add_extension(key_usage, critical=True)
    if critical is not None:
        builder = builder.add_extension(critical, critical=True)
    return Issued(builder.sign(issuer.key if issuer else own, hashes.SHA256()), own)
