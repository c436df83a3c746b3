"""Distribution's rules, one by one (``configuration/parser.go``)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matou.config.distribution import ConfigurationError
from tests.unit.config.reading import MINIMAL, errors, parse, warnings

FILESYSTEM = "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /a\n"


def test_a_field_is_overridden() -> None:
    found = parse(MINIMAL + "http: {addr: ':1', relativeurls: false}\n", {"REGISTRY_HTTP_RELATIVEURLS": "true"})
    assert (found.http.addr, found.http.relativeurls) == (":1", True)


def test_sections_that_are_missing_are_made() -> None:
    found = parse(MINIMAL, {"REGISTRY_HTTP_HTTP2_DISABLED": "true", "REGISTRY_PROXY_EXEC_COMMAND": "x"})
    assert found.http.http2.disabled
    assert found.proxy.exec is not None
    assert found.proxy.exec.command == "x"


def test_maps_are_matched_in_any_case_and_made_in_lower_case() -> None:
    found = parse(
        FILESYSTEM, {"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/b", "REGISTRY_STORAGE_DELETE_ENABLED": "true"}
    )
    assert found.storage.filesystem.rootdirectory == "/b"
    assert found.storage.delete.enabled


def test_what_lies_deep_in_a_map_is_overridden() -> None:
    text = FILESYSTEM + "  maintenance: {readonly: {enabled: false}}\n"
    found = parse(text, {"REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED": "true"})
    assert found.storage.maintenance.readonly.enabled


def test_a_section_is_replaced_before_its_parts_are_set() -> None:
    environ = {"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/b", "REGISTRY_STORAGE": "filesystem"}
    found = parse("version: 0.1\nstorage: {s3: {bucket: x, region: y}}\n", environ)
    assert (found.storage.driver, found.storage.filesystem.rootdirectory) == ("filesystem", "/b")


def test_the_whole_configuration_may_be_in_the_environment() -> None:
    environ = {
        "REGISTRY_STORAGE": "inmemory",
        "REGISTRY_AUTH": "htpasswd",
        "REGISTRY_AUTH_HTPASSWD_REALM": "r",
        "REGISTRY_AUTH_HTPASSWD_PATH": "/p",
    }
    found = parse("version: 0.1\n", environ)
    assert found.storage.driver == "inmemory"
    assert found.auth is not None
    assert found.auth.htpasswd is not None
    assert (found.auth.htpasswd.realm, found.auth.htpasswd.path) == ("r", "/p")


def test_two_drivers_are_an_error_that_names_both_places() -> None:
    environ = {"REGISTRY_STORAGE_INMEMORY": ""}
    (found,) = errors(FILESYSTEM, environ)
    assert found == (
        "config.yml:3: storage must provide exactly one storage type; found filesystem (config.yml:3), "
        "inmemory (environment variable REGISTRY_STORAGE_INMEMORY); keep one of them"
    )


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        ("{X-A: [b], X-C: [d, e]}", {"X-A": ("b",), "X-C": ("d", "e")}),
        ("X-A:\n- b\n", {"X-A": ("b",)}),
        ("", {}),
    ],
)
def test_a_value_is_yaml(value: str, headers: dict[str, tuple[str, ...]]) -> None:
    assert parse(MINIMAL + "http: {headers: {X-Z: [z]}}\n", {"REGISTRY_HTTP_HEADERS": value}).http.headers == headers


def test_a_header_is_made_in_lower_case_beside_another() -> None:
    found = parse(MINIMAL + "http: {headers: {X-Z: [z]}}\n", {"REGISTRY_HTTP_HEADERS_X-Z": "[y]"})
    assert found.http.headers == {"X-Z": ("z",), "x-z": ("y",)}


def test_lists_are_indexed_and_appended_to() -> None:
    text = MINIMAL + "health: {file: [{file: /a}]}\n"
    environ = {
        "REGISTRY_HEALTH_FILECHECKERS_0_INTERVAL": "5s",
        "REGISTRY_HEALTH_FILECHECKERS_1_FILE": "/b",
        "REGISTRY_HTTP_TLS_LETSENCRYPT_HOSTS": "[]",
        "REGISTRY_HEALTH_TCPCHECKERS_0_ADDR": "localhost:1",
    }
    found = parse(text, environ)
    assert [(check.file, check.interval) for check in found.health.file] == [("/a", 5.0), ("/b", 10.0)]
    assert found.health.tcp[0].addr == "localhost:1"


def test_an_item_that_is_a_text_is_set() -> None:
    found = parse(MINIMAL, {"REGISTRY_AUTH_TOKEN_SIGNINGALGORITHMS_0": "RS256", **TOKEN})
    assert found.auth is not None
    assert found.auth.token is not None
    assert found.auth.token.signingalgorithms == ("RS256",)


TOKEN = {f"REGISTRY_AUTH_TOKEN_{key}": "x" for key in ("REALM", "SERVICE", "ISSUER", "ROOTCERTBUNDLE")}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("REGISTRY_HEALTH_FILECHECKERS_1_FILE", "undefined index: 1; the list has 0 items"),
        ("REGISTRY_HEALTH_FILECHECKERS_X_FILE", "non-numeric index: X"),
        ("REGISTRY_HEALTH_FILECHECKERS_-1_FILE", "non-numeric index: -1"),
        ("REGISTRY_HEALTH_FILECHECKERS__FILE", "non-numeric index: "),
    ],
)
def test_wrong_indices(name: str, problem: str) -> None:
    assert errors(MINIMAL, {name: "x"}) == [f"environment variable {name}: parsing environment variable: {problem}"]


def test_a_wrong_value_names_variable_and_key() -> None:
    (found,) = errors(MINIMAL, {"REGISTRY_HTTP_DRAINTIMEOUT": "soon"})
    assert found == (
        "environment variable REGISTRY_HTTP_DRAINTIMEOUT: http.draintimeout is 'soon'; "
        "expected a duration such as 30s, 1h30m or 500ms"
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("REGISTRY_DUCKS", ""),
        ("REGISTRY_FF_ENFORCE_LOCKFILES", ""),
        ("REGISTRY_VERSION", "; the version cannot be overridden"),
        ("REGISTRY_PORT_5000_TCP_ADDR", ""),
        ("REGISTRY_HTTP_RELATIVEURL", "; RELATIVEURL is not known here, did you mean RELATIVEURLS?"),
        ("REGISTRY_HTTP_ADDR_HOST", ""),
        ("REGISTRY_", ""),
    ],
)
def test_an_unknown_variable_is_a_warning(name: str, hint: str) -> None:
    text = MINIMAL + "http: {addr: ':1'}\n"
    assert warnings(text, {name: "0.2"}) == [
        f"environment variable {name}: ignoring unrecognized environment variable{hint}"
    ]


def test_our_own_variable_and_those_of_others_are_not_looked_at() -> None:
    assert warnings(MINIMAL, {"REGISTRY_CONFIGURATION_PATH": "/x", "registry_http_addr": "x", "REGISTRYX": "y"}) == []


def test_fields_of_redis_may_be_named_with_and_without_options() -> None:
    found = parse(MINIMAL, {"REGISTRY_REDIS_USERNAME": "u", "REGISTRY_REDIS_OPTIONS_PASSWORD": "p"})
    assert (found.redis.username, found.redis.password) == ("u", "p")


def test_gitlabs_names_with_an_underscore() -> None:
    environ = {"REGISTRY_STORAGE_S3_V2_REGION": "r", "REGISTRY_STORAGE_AZURE_V2_API_POOL_MAX_INTERVAL": "x"}
    found = errors("version: 0.1\nstorage: {s3_v2: {bucket: b}}\n", environ)
    assert not any("storage.s3_v2.region is missing" in line for line in found)
    assert any("storage.azure_v2.api_pool_max_interval is 'x'; expected a duration" in line for line in found)
    assert not any("storage.s3 " in line or "unknown" in line for line in found)


def test_what_the_file_has_wrong_is_not_hidden() -> None:
    assert errors(MINIMAL + "http: 5000\n", {"REGISTRY_HTTP_ADDR": ":1"})[0].startswith(
        "config.yml:3: http is a single value; expected a map"
    )
    assert errors(MINIMAL + "health: {file: x}\n", {"REGISTRY_HEALTH_FILECHECKERS_0_FILE": "y"})[0].startswith(
        "config.yml:3: health.file is 'x'; expected a list"
    )


def test_a_secret_is_not_repeated() -> None:
    environ = {"REGISTRY_HTTP_SECRET": "[hunter2]", "REGISTRY_REDIS_PASSWORD": "{hunter2: x}", "REGISTRY_REDIS_DB": "x"}
    found = errors(MINIMAL, environ)
    assert len(found) == 3
    assert "hunter2" not in "".join(found)


SECTIONS = ["HTTP", "STORAGE", "LOG", "AUTH", "HEALTH", "MIDDLEWARE", "NOTIFICATIONS", "REDIS", "S3", "CACHE", "TLS"]
BELOW = [
    "0",
    "1",
    "-1",
    "X",
    "",
    "ADDR",
    "HEADERS",
    "FIELDS",
    "TOKEN",
    "FILECHECKERS",
    "ENDPOINTS",
    "OPTIONS",
    "V2",
    "FILE",
]
SEGMENTS = st.one_of(st.sampled_from(SECTIONS), st.sampled_from(BELOW))
NAMES = st.lists(SEGMENTS, max_size=6).map(lambda parts: "_".join(["REGISTRY", *parts]))
ODD = ["", "true", "[a]", "{a: b}", "- a", "1", "1h", "~", "*a", "&a [*a]", "!x", "a: &x {<<: *x}", "\ud800", "\udcff"]
VALUES = st.one_of(st.text(max_size=30), st.sampled_from(ODD))


@given(
    st.dictionaries(NAMES, VALUES, max_size=6),
    st.sampled_from([MINIMAL, FILESYSTEM, MINIMAL + "http: {headers: {}}\nhealth: {file: [{file: x}]}\n"]),
)
def test_no_environment_does_anything_but_configure_or_fail(environ: dict[str, str], text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        parse(text, environ)


REPLACED = {
    "REGISTRY_STORAGE": "filesystem",
    "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/b",
    "REGISTRY_STORAGE_DELETE_ENABLED": "true",
}


@given(st.permutations(list(REPLACED)))
def test_the_order_of_the_environment_does_not_matter(names: list[str]) -> None:
    found = parse(MINIMAL, {name: REPLACED[name] for name in names})
    assert (found.storage.driver, found.storage.filesystem.rootdirectory) == ("filesystem", "/b")
    assert found.storage.delete.enabled
