"""What Matou does not have is refused by name, and only where it is asked for."""

from __future__ import annotations

import pytest

from matou.config.schema import Refused, walk
from matou.config.sections.root import Configuration
from tests.unit.config.reading import MINIMAL, errors, parse

# The key, a configuration that asks for it, and one that has the key and does not ask for it.
ASKED: dict[str, tuple[str, str]] = {
    "log.hooks": (
        MINIMAL + "log: {hooks: [{type: mail}]}\n",
        MINIMAL + "log: {hooks: [{type: mail, disabled: true}]}\n",
    ),
    "middleware.registry": (
        MINIMAL + "middleware: {registry: [{name: x}]}\n",
        MINIMAL + "middleware: {registry: [{name: x, disabled: true}]}\n",
    ),
    "middleware.repository": (
        MINIMAL + "middleware: {repository: [{name: x}]}\n",
        MINIMAL + "middleware: {repository: [{name: x, disabled: true}]}\n",
    ),
    "middleware.storage": (
        MINIMAL + "middleware: {storage: [{name: redirect, options: {baseurl: 'https://x/'}}]}\n",
        MINIMAL + "middleware: {storage: [{name: redirect, disabled: true, options: {baseurl: 'https://x/'}}]}\n",
    ),
    "http.tls.clientauth": (
        MINIMAL + "http: {tls: {clientauth: request-client-cert}}\n",
        MINIMAL + "http: {tls: {clientauth: require-and-verify-client-cert}}\n",
    ),
    "http.tls.minimumtls": (
        MINIMAL + "http: {tls: {minimumtls: tls1.0}}\n",
        MINIMAL + "http: {tls: {minimumtls: tls1.3}}\n",
    ),
    "http.tls.ciphersuites": (
        MINIMAL + "http: {tls: {ciphersuites: [TLS_RSA_WITH_AES_128_CBC_SHA]}}\n",
        MINIMAL + "http: {tls: {ciphersuites: []}}\n",
    ),
    "http.tls.letsencrypt": (
        MINIMAL + "http: {tls: {letsencrypt: {email: e@example.com}}}\n",
        MINIMAL + "http: {tls: {letsencrypt: {email: ''}}}\n",
    ),
    "http.debug.tls.enabled": (
        MINIMAL + "http: {debug: {tls: {enabled: true}}}\n",
        MINIMAL + "http: {debug: {tls: {enabled: false, certificate: c}}}\n",
    ),
    "notifications.endpoints": (
        MINIMAL + "notifications: {endpoints: [{name: n, url: 'https://x/'}]}\n",
        MINIMAL + "notifications: {endpoints: [{name: n, url: 'https://x/', disabled: true}]}\n",
    ),
    "proxy.remoteurl": (
        MINIMAL + "proxy: {remoteurl: 'https://registry-1.docker.io'}\n",
        MINIMAL + "proxy: {remoteurl: ''}\n",
    ),
    "compatibility.schema1.enabled": (
        MINIMAL + "compatibility: {schema1: {enabled: true}}\n",
        MINIMAL + "compatibility: {schema1: {enabled: false, signingkeyfile: /k}}\n",
    ),
    "policy.repository.classes": (
        MINIMAL + "policy: {repository: {classes: [image]}}\n",
        MINIMAL + "policy: {repository: {classes: []}}\n",
    ),
    "reporting.sentry.enabled": (
        MINIMAL + "reporting: {sentry: {enabled: true, dsn: 'https://x/'}}\n",
        MINIMAL + "reporting: {sentry: {enabled: false, dsn: 'https://x/'}}\n",
    ),
    "reporting.bugsnag.apikey": (
        MINIMAL + "reporting: {bugsnag: {apikey: k}}\n",
        MINIMAL + "reporting: {bugsnag: {apikey: '', endpoint: e}}\n",
    ),
    "reporting.newrelic.licensekey": (
        MINIMAL + "reporting: {newrelic: {licensekey: k}}\n",
        MINIMAL + "reporting: {newrelic: {name: n}}\n",
    ),
    "profiling.stackdriver.enabled": (
        MINIMAL + "profiling: {stackdriver: {enabled: true}}\n",
        MINIMAL + "profiling: {stackdriver: {enabled: false, service: s}}\n",
    ),
    "database.enabled": (
        MINIMAL + "database: {enabled: true, host: h}\n",
        MINIMAL + "database: {enabled: prefer, host: h}\n",
    ),
    "rate_limiter.enabled": (
        MINIMAL + "rate_limiter: {enabled: true}\n",
        MINIMAL + "rate_limiter: {enabled: false, limiters: [{name: n}]}\n",
    ),
}


def test_every_refusal_has_its_case() -> None:
    assert {path for path, _, status in walk(Configuration) if isinstance(status, Refused)} == set(ASKED)


@pytest.mark.parametrize("path", ASKED)
def test_is_refused_with_what_to_do(path: str) -> None:
    (found,) = errors(ASKED[path][0])
    assert f": {path} is not supported by this version of Matou (" in found
    assert "); " in found


@pytest.mark.parametrize("path", ASKED)
def test_is_not_refused_where_it_is_off(path: str) -> None:
    assert parse(ASKED[path][1]).warnings == ()
