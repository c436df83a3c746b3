"""Each problem is one line: where, which key, what was found and what is expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matou.config.distribution import ConfigurationError, load_configuration
from tests.unit.config.reading import MINIMAL, errors, parse, warnings

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "auth:\n  token:\n    realm: r\n    service: s\n    issuer: i\n    rootcertbundle: /c\n"
DRIVERS = "filesystem, inmemory, s3, s3_v2, s3aws, gcs, azure, azure_v2, swift, oss"
DURATION = "expected a duration such as 30s, 1h30m or 500ms"

WRONG = [
    ("", ":1: version is missing; expected one of 0.1"),
    (
        "5\n",
        ":1: the configuration is a single value; expected a map with keys such as version, log, loglevel, storage, ",
    ),
    ("storage: inmemory\n", ":1: version is missing; expected one of 0.1"),
    ("version:\nstorage: inmemory\n", ":1: version is missing; expected one of 0.1"),
    ("version: 0.2\nfoo: 1\n", ":1: unsupported version: '0.2'; expected version: 0.1"),
    (
        "version: 0.1\n",
        ":1: the configuration has no storage configuration; expected storage: with one driver below it",
    ),
    (
        "version: 0.1\nstorage:\n",
        ":1: the configuration has no storage configuration; expected storage: with one driver",
    ),
    (
        "version: 0.1\nstorage: {}\n",
        f":2: storage has no driver: no storage configuration provided; expected {DRIVERS}",
    ),
    (
        "version: 0.1\nstorage: {delete: {enabled: true}}\n",
        ":2: storage has no driver: no storage configuration provided;",
    ),
    (
        "version: 0.1\nstorage: s4\n",
        f":2: storage names the driver 's4', which does not exist; expected one of {DRIVERS}",
    ),
    ("version: 0.1\nstorage: [inmemory]\n", ":2: storage is a list; expected a map with keys such as filesystem"),
    (MINIMAL + "log: {level: loud}\n", ":3: log.level is 'loud'; expected one of error, warn, info, debug, trace"),
    (MINIMAL + "log: {fields: [a]}\n", ":3: log.fields is a list; expected a map, each value any value"),
    (MINIMAL + "loglevel: loud\n", ":3: loglevel is 'loud'; expected one of error, warn, info, debug, trace"),
    (MINIMAL + "http: {addr: 5000}\n", ":3: http.addr is '5000'; expected host:port or :port, such as :5000"),
    (MINIMAL + "http: {addr: ':99999'}\n", ":3: http.addr is ':99999'; expected host:port or :port, such as :5000"),
    (MINIMAL + "http: {net: udp}\n", ":3: http.net is 'udp'; expected one of tcp, unix"),
    (MINIMAL + "http: {prefix: x/}\n", ":3: http.prefix is 'x/'; expected a path that begins and ends with /"),
    (MINIMAL + "http: {draintimeout: -1s}\n", f":3: http.draintimeout is '-1s'; {DURATION}, not less than 0"),
    (MINIMAL + "http: {headers: {A: b}}\n", ":3: http.headers.A is 'b'; expected a list, each item a text"),
    (MINIMAL + "http: {headers: {A: ['b\\nc']}}\n", None),
    (
        MINIMAL + 'http: {headers: {A: ["b\\nc"]}}\n',
        ":3: http.headers.A[0] is 'b\\nc'; expected a text: no line breaks",
    ),
    (MINIMAL + "http: {headers: {'A B': [c]}}\n", ":3: http.headers has the header 'A B'; expected a name of letters"),
    (
        MINIMAL + "http: {tls: {certificate: c}}\n",
        ":3: http.tls.key is missing; expected a PEM file, as there is a certif",
    ),
    (
        MINIMAL + "http: {tls: {key: c}}\n",
        ":3: http.tls.certificate is missing; expected a PEM file, as there is a key",
    ),
    (MINIMAL + "http: {tls: {clientcas: [c]}}\n", ":3: http.tls.clientcas needs TLS; expected certificate and key"),
    (
        MINIMAL + "http: {tls: {minimumtls: ssl3}}\n",
        ":3: http.tls.minimumtls is 'ssl3'; expected one of tls1.0, tls1.1, ",
    ),
    (MINIMAL + "http: {tls: {clientcas: [~]}}\n", ":3: http.tls.clientcas[0] is empty; expected a text"),
    (MINIMAL + "http: {debug: {addr: localhost}}\n", ":3: http.debug.addr is 'localhost'; expected host:port or :port"),
    (MINIMAL + "auth:\n", ":3: auth is empty; expected one of token, htpasswd, silly, none, or no auth at all"),
    (
        MINIMAL + "auth: ldap\n",
        ":3: auth names 'ldap', which does not exist; expected one of token, htpasswd, silly, none",
    ),
    (
        MINIMAL + "auth: {none: {}, silly: {realm: r, service: s}}\n",
        ":3: auth must provide exactly one type; found none, s",
    ),
    (MINIMAL + "auth: {htpasswd: {realm: r}}\n", ":3: auth.htpasswd.path is missing; expected a text"),
    (MINIMAL + "auth: htpasswd\n", ":3: auth.htpasswd.realm is missing; expected a text"),
    (MINIMAL + TOKEN.replace("issuer: i", "issuer:"), ":7: auth.token.issuer is missing; expected a text"),
    (
        MINIMAL + TOKEN.replace("    rootcertbundle: /c\n", ""),
        ":5: auth.token trusts no key; expected rootcertbundle, jwks",
    ),
    (
        MINIMAL + TOKEN + "    autoredirectpath: x\n",
        ":9: auth.token.autoredirectpath is 'x'; expected a path that begins w",
    ),
    (MINIMAL + "catalog: {maxentries: many}\n", ":3: catalog.maxentries is 'many'; expected a whole number"),
    (MINIMAL + "tags: {maxtags: -1}\n", ":3: tags.maxtags is '-1'; expected a whole number from 0 up"),
    (MINIMAL + "tags: {maxtags: 1.5}\n", ":3: tags.maxtags is '1.5'; expected a whole number from 0 up"),
    (
        MINIMAL + "validation: {manifests: {urls: {allow: ['(']}}}\n",
        ":3: validation.manifests.urls.allow[0] is '('; expected",
    ),
    (
        MINIMAL + "validation: {manifests: {indexes: {platforms: some}}}\n",
        ":3: validation.manifests.indexes.platforms is 'some'; expected one of all, none, list",
    ),
    (
        "version: 0.1\nstorage:\n  inmemory:\n  maintenance: {uploadpurging: {enabled: true, interval: 24h}}\n",
        ":4: storage.maintenance.uploadpurging.age is missing; expected a duration such as 168h",
    ),
    (
        "version: 0.1\nstorage:\n  inmemory:\n  maintenance: {uploadpurging: {age: 168, interval: 24h}}\n",
        f":4: storage.maintenance.uploadpurging.age is '168'; {DURATION}, with its unit",
    ),
    (
        "version: 0.1\nstorage:\n  inmemory:\n  maintenance: {uploadpurging: {age: 1h, interval: 0}}\n",
        ":4: storage.maintenance.uploadpurging.interval is 0; expected a duration such as 24h",
    ),
    (
        "version: 0.1\nstorage:\n  filesystem: {maxthreads: lots}\n",
        ":3: storage.filesystem.maxthreads is 'lots'; expected a whole number from 0 up",
    ),
    (MINIMAL + "health: {file: [{interval: 1s}]}\n", ":3: health.file[0].file is missing; expected a text"),
    (
        MINIMAL + "health: {http: [5]}\n",
        ":3: health.http[0] is a single value; expected a map with keys such as uri, heade",
    ),
    (
        MINIMAL + "database: {sslmode: maybe}\n",
        ":3: database.sslmode is 'maybe'; expected one of disable, allow, prefer, ",
    ),
    (MINIMAL + "database: {port: 70000}\n", ":3: database.port is '70000'; expected a whole number from 0 to 65535"),
    (MINIMAL + "redis: {password: [x]}\n", ":3: redis.password is a list; expected a text"),
    (
        MINIMAL + "middleware: {storage: [{name: cloudfront, disabled: true, options: {duration: x}}]}\n",
        ":3: middleware.storage[0].options.baseurl is missing; expected a text",
    ),
]


@pytest.mark.parametrize(("text", "problem"), WRONG)
def test_wrong(text: str, problem: str | None) -> None:
    if problem is None:
        parse(text)
        return
    assert errors(text)[0].startswith(f"config.yml{problem}")


ODD = [
    (MINIMAL + "ducks: 1\n", ":3: unknown key 'ducks', which is ignored"),
    (
        MINIMAL + "http: {relativeurl: true}\n",
        ":3: unknown key 'relativeurl' in http, which is ignored; did you mean http.",
    ),
    (
        MINIMAL + "rootdirectory: /x\n",
        ":3: unknown key 'rootdirectory', which is ignored; did you mean storage.filesystem.",
    ),
    (MINIMAL + "Log: {}\n", ":3: unknown key 'Log', which is ignored; did you mean log?"),
    (MINIMAL + "x" * 90 + ": 1\n", f":3: unknown key '{'x' * 60}'..., which is ignored"),
    (
        MINIMAL + "http: {draintimeout: 60}\n",
        ":3: http.draintimeout is 60, which counts nanoseconds; write 60s for seconds",
    ),
    (
        MINIMAL + "http: {host: example.com}\n",
        ":3: http.host is 'example.com', which is ignored, as in Distribution; exp",
    ),
    (
        MINIMAL + "log: {level: info}\nlog: {level: warn}\n",
        ":4: the key 'log' is repeated; its earlier value on line 3 is",
    ),
    (
        "version: 0.1\nstorage:\n  inmemory:\n  cache: {blobdescriptor: memcached}\n",
        ":4: storage.cache.blobdescriptor is 'memcached', which is ignored; expected inmemory, redis or ",
    ),
    (
        "version: 0.1\nstorage:\n  inmemory:\n  redirect: {expirydelay: 200h}\n",
        ":4: storage.redirect.expirydelay is longer than 168h, which is the most that signed URLs of object",
    ),
]


@pytest.mark.parametrize(("text", "warning"), ODD)
def test_odd(text: str, warning: str) -> None:
    (found,) = warnings(text)
    assert found.startswith(f"config.yml{warning}")


def test_warnings_are_told_beside_errors() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(MINIMAL + "ducks: 1\nloglevel: loud\n")
    assert [str(each) for each in caught.value.warnings] == ["config.yml:3: unknown key 'ducks', which is ignored"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(tmp_path / "x.yml", {})
    assert str(caught.value) == (
        f"{tmp_path}/x.yml: cannot be read: No such file or directory; expected a registry's config.yml"
    )
    with pytest.raises(ConfigurationError, match="Is a directory"):
        load_configuration(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{enabled: 'true', disabled: on}", (True, True)),
        ("{enabled: YES, disabled: 'False'}", (True, False)),
        ("{enabled: ~, disabled:}", (False, False)),
    ],
)
def test_booleans_as_people_write_them(text: str, values: tuple[bool, bool]) -> None:
    validation = parse(f"{MINIMAL}validation: {text}\n").validation
    assert (validation.enabled, validation.disabled) == values


@pytest.mark.parametrize(
    ("text", "value"), [("1_000", 1000), ("0x10", 16), ("0o17", 15), ("010", 8), ("'50'", 50), ("0", 1000)]
)
def test_numbers_as_yaml_has_them(text: str, value: int) -> None:
    assert parse(f"{MINIMAL}tags: {{maxtags: {text}}}\n").tags.maxtags == value


@pytest.mark.parametrize(("given", "used"), [("0", 25), ("24", 25), ("26", 26), ("'400'", 400)])
def test_threads_of_the_filesystem(given: str, used: int) -> None:
    found = parse(f"version: 0.1\nstorage: {{filesystem: {{maxthreads: {given}}}}}\n")
    assert found.storage.filesystem.maxthreads == used


def test_a_text_is_taken_as_written() -> None:
    found = parse(MINIMAL + "http: {secret: 0123}\nauth: {silly: {realm: 1.0, service: yes}}\n")
    assert found.http.secret == "0123"
    assert found.auth is not None
    assert found.auth.silly is not None
    assert (found.auth.silly.realm, found.auth.silly.service) == ("1.0", "yes")


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("", "info"),
        ("loglevel: WARN\n", "warn"),
        ("loglevel: warn\nlog: {level: Error}\n", "error"),
        ("log: {level: trace}\n", "debug"),
    ],
)
def test_the_level_of_the_log(text: str, level: str) -> None:
    assert parse(MINIMAL + text).log.level == level


@pytest.mark.parametrize(
    ("text", "is_enabled"),
    [("", True), ("{disabled: true}", False), ("{enabled: true, disabled: true}", True), ("{enabled: false}", True)],
)
def test_validation_holds_unless_it_is_disabled(text: str, is_enabled: bool) -> None:
    assert parse(f"{MINIMAL}validation: {text}\n").validation.is_enabled is is_enabled
