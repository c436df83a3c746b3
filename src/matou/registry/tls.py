"""``http.tls``: the files, checked before anything is started, in the form that Granian takes.

Source: Distribution's configuration reference, "tls"; its ``registry/registry.go`` for what client authorities mean.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matou.config.sections.http import Tls

LARGEST = 1 << 20  # bytes of a file with certificates


class TlsError(Exception):
    """A file of ``http.tls`` cannot be used; the text names key and file."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files of TLS; all None without it.

    Attributes:
        certificate: and its chain, PEM.
        key: private, PEM.
        authorities: of client certificates, all in one file; None where clients need no certificate.
    """

    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None


def tls_files(tls: Tls, directory: Path) -> TlsFiles:
    """Check the files that a configuration names.

    Args:
        tls: its section.
        directory: where a file may be written that holds the certificates of several.

    Raises:
        TlsError: one is missing, malformed, or not the other's key.
    """
    if not tls.certificate:
        return TlsFiles()
    certificate, key = Path(tls.certificate), Path(tls.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name, path in (("certificate", certificate), ("key", key)):
        _read(name, path)
    try:
        # An encrypted key must not ask for its password at the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        raise TlsError(
            f"http.tls.certificate and http.tls.key: {certificate} and {key} do not belong together, or are no PEM "
            f"files of a certificate and its unencrypted key: {_reason(error)}"
        ) from error
    return TlsFiles(certificate, key, _authorities(context, tls.clientcas, directory))


def _authorities(context: ssl.SSLContext, names: tuple[str, ...], directory: Path) -> Path | None:
    if not names:
        return None
    contents: list[bytes] = []
    for index, name in enumerate(names):
        key, path = f"clientcas[{index}]", Path(name)
        contents.append(_read(key, path))
        try:
            context.load_verify_locations(path)
        except ssl.SSLError as error:
            raise TlsError(f"http.tls.{key}: {path} holds no certificate in PEM form: {_reason(error)}") from error
    if len(names) == 1:
        return Path(names[0])
    together = directory / "clientcas.pem"
    try:
        together.write_bytes(b"\n".join(contents))
    except OSError as error:
        raise TlsError(f"http.tls.clientcas: {together} cannot be written: {error.strerror}") from error
    return together


def _read(key: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST)
    except OSError as error:
        raise TlsError(f"http.tls.{key}: {path} cannot be read: {error.strerror}") from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error).lower().replace("_", " ")
