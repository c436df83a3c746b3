"""``http``: where and how the registry listens, and what it says of itself."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from matou.config.containers import ListOf, MapOf
from matou.config.kinds import Boolean, Choice, Duration, Text
from matou.config.schema import Checked, NoEffect, Refused, Settings, section, setting

if TYPE_CHECKING:
    from matou.config.kinds import Place
    from matou.config.yaml_lines import Mapping as MappingNode

TOO_OLD = ("tls1.0", "tls1.1")
VERIFY = "require-and-verify-client-cert"
CLIENT_AUTH = ("request-client-cert", "require-any-client-cert", "verify-client-cert-if-given", VERIFY)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}", re.ASCII)
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,8000}")


def check_header_name(name: str) -> None:
    """Check the name of a header (RFC 9110, 5.1).

    Raises:
        ValueError: it is none.
    """
    if _HEADER_NAME.fullmatch(name) is None:
        raise ValueError(f"has the header {name[:80]!r}; expected a name of letters, digits and dashes")


def check_header_value(value: str) -> None:
    """Check the value of a header (RFC 9110, 5.5).

    Raises:
        ValueError: it is none.
    """
    if _HEADER_VALUE.fullmatch(value) is None:
        raise ValueError("no line breaks or control characters")


def check_address(text: str) -> None:
    """Check ``host:port``, where the host may be left out.

    Raises:
        ValueError: it is none.
    """
    _, separator, port = text.rpartition(":")
    if not separator or not port.isascii() or not port.isdigit() or int(port[:6]) > 65535:  # noqa: PLR2004 -- ports
        raise ValueError


ADDRESS = Text(check_address, "host:port or :port, such as :5000")
HEADERS = MapOf(
    ListOf(Text(check_header_value, "a text")),
    check_header_name,
)


@dataclass(frozen=True, slots=True)
class LetsEncrypt(Settings):
    """``http.tls.letsencrypt``."""

    cachefile: str = setting(Text(), "", "where the certificate is kept")
    email: str = setting(Text(), "", "of the account")
    hosts: tuple[str, ...] = setting(ListOf(Text()), (), "names that get a certificate")
    directoryurl: str = setting(Text(), "", "of the ACME service")


@dataclass(frozen=True, slots=True)
class Tls(Settings):
    """``http.tls``."""

    certificate: str = setting(Text(), "", "PEM file: the certificate, then its chain")
    key: str = setting(Text(), "", "PEM file with its private key")
    clientcas: tuple[str, ...] = setting(
        ListOf(Text()), (), "PEM files with the authorities of client certificates, which are then required"
    )
    clientauth: str = setting(
        Choice(CLIENT_AUTH),
        VERIFY,
        "what is asked of clients when there are `clientcas`",
        status=Refused(
            "client certificates that are not required or not verified",
            f"write clientauth: {VERIFY}, or remove clientcas and clientauth",
            f"it is not `{VERIFY}`",
            lambda mode: mode != VERIFY,
        ),
    )
    minimumtls: str = setting(
        Choice((*TOO_OLD, "tls1.2", "tls1.3")),
        "tls1.2",
        "oldest version of TLS",
        status=Refused(
            "TLS 1.0 and 1.1, which are broken",
            "write minimumtls: tls1.2",
            "it is `tls1.0` or `tls1.1`",
            lambda version: version in TOO_OLD,
        ),
    )
    ciphersuites: tuple[str, ...] = setting(
        ListOf(Text()),
        (),
        "cipher suites of TLS 1.2; unless given the safe ones: ECDHE with AES-GCM or ChaCha20-Poly1305",
        status=Refused(
            "a choice of cipher suites",
            "remove http.tls.ciphersuites: only ECDHE with AES-GCM or ChaCha20-Poly1305 is ever used",
        ),
    )
    letsencrypt: LetsEncrypt = section(
        LetsEncrypt,
        "certificates from an ACME service",
        status=Refused(
            "certificates from Let's Encrypt",
            "let a proxy such as Caddy or nginx, or certbot, fetch the certificate, and remove http.tls.letsencrypt",
            "a key of it is set",
            lambda letsencrypt: letsencrypt != LetsEncrypt(),
        ),
    )

    def verify(self, node: MappingNode, place: Place) -> Tls:
        """Check that certificate and key come together."""
        if bool(self.certificate) != bool(self.key):
            missing, given = ("key", "certificate") if self.certificate else ("certificate", "key")
            place.child(missing).error(node.origin, f"is missing; expected a PEM file, as there is a {given}")
        if self.clientcas and not self.certificate:
            place.child("clientcas").error(node.origin, "needs TLS; expected certificate and key beside it")
        return self


@dataclass(frozen=True, slots=True)
class DebugTls(Settings):
    """``http.debug.tls`` (GitLab)."""

    enabled: bool = setting(
        Boolean(),
        default=False,
        doc="`true`: HTTPS",
        status=Refused("TLS on the debug server", "bind http.debug.addr to localhost, or put a proxy before it"),
    )
    certificate: str = setting(Text(), "", "PEM file")
    key: str = setting(Text(), "", "PEM file with its private key")
    clientcas: tuple[str, ...] = setting(ListOf(Text()), (), "PEM files with authorities of client certificates")
    minimumtls: str = setting(Text(), "tls1.2", "oldest version of TLS")
    ciphersuites: tuple[str, ...] = setting(ListOf(Text()), (), "cipher suites of TLS 1.2")


@dataclass(frozen=True, slots=True)
class Prometheus(Settings):
    """``http.debug.prometheus``."""

    enabled: bool = setting(Boolean(), default=False, doc="`true`: metrics at `path`")
    path: str = setting(Text(), "/metrics", "of the metrics")


@dataclass(frozen=True, slots=True)
class Pprof(Settings):
    """``http.debug.pprof`` (GitLab)."""

    enabled: bool = setting(
        Boolean(),
        default=False,
        doc="`true`: Go's profiler",
        status=NoEffect("it is a part of Go's run time; use py-spy on a worker instead"),
    )


@dataclass(frozen=True, slots=True)
class Debug(Settings):
    """``http.debug``."""

    addr: str = setting(ADDRESS, "", "host:port of the debug server: health and metrics; none unless given")
    prometheus: Prometheus = section(Prometheus, "metrics")
    tls: DebugTls = section(DebugTls, "of the debug server (GitLab)", status=Checked("http.debug.tls.enabled"))
    pprof: Pprof = section(Pprof, "of the debug server (GitLab)")


@dataclass(frozen=True, slots=True)
class Http2(Settings):
    """``http.http2``."""

    disabled: bool = setting(Boolean(), default=False, doc="`true`: HTTP/1.1 only")


@dataclass(frozen=True, slots=True)
class H2c(Settings):
    """``http.h2c``."""

    enabled: bool = setting(
        Boolean(),
        default=False,
        doc="`true`: HTTP/2 without TLS too, for clients that know it beforehand",
    )


@dataclass(frozen=True, slots=True)
class Http(Settings):
    """``http``."""

    addr: str = setting(Text(), "", "host:port or :port that the registry listens at; a path when `net` is `unix`")
    net: str = setting(Choice(("tcp", "unix")), "tcp", "kind of the address")
    prefix: str = setting(Text(), "", "path before `/v2/`, such as `/registry/`")
    host: str = setting(Text(), "", "URL of the registry as clients reach it; else it is taken from the request")
    secret: str = setting(
        Text(), "", "signs the state of uploads; the same in all replicas; random unless given", secret=True
    )
    relativeurls: bool = setting(Boolean(), default=False, doc="`true`: `Location` without scheme and host")
    draintimeout: float = setting(
        Duration(), 0.0, "how long requests get to end after SIGTERM; 30 seconds unless given"
    )
    headers: Mapping[str, tuple[str, ...]] = setting(HEADERS, {}, "added to every answer")
    tls: Tls = section(Tls, "HTTPS")
    http2: Http2 = section(Http2, "HTTP/2 over TLS")
    h2c: H2c = section(H2c, "HTTP/2 without TLS")
    debug: Debug = section(Debug, "health, metrics")

    def verify(self, node: MappingNode, place: Place) -> Http:
        """Check addresses and URLs."""
        self._verify_addr(node, place)
        if self.prefix and not (self.prefix.startswith("/") and self.prefix.endswith("/")):
            place.child("prefix").error(
                node.entries["prefix"].origin, f"is {self.prefix!r}; expected a path that begins and ends with /"
            )
        if not self.host:
            return self
        try:
            url = urlsplit(self.host)
            usable = url.scheme in ("http", "https") and bool(url.netloc)
        except ValueError:
            usable = False
        if usable:
            return self
        place.child("host").warn(
            node.entries["host"].origin,
            f"is {self.host!r}, which is ignored, as in Distribution; expected a URL such as https://registry.example.com",
        )
        return dataclasses.replace(self, host="")

    def _verify_addr(self, node: MappingNode, place: Place) -> None:
        if not self.addr or self.net == "unix":
            return
        try:
            check_address(self.addr)
        except ValueError:
            at = node.entries["addr"].origin
            place.child("addr").error(at, f"is {self.addr!r}; expected {ADDRESS.expected}")
