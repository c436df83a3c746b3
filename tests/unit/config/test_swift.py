"""``storage.swift``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.config.reading import errors, parse, warnings

if TYPE_CHECKING:
    from matou.config.sections.swift import SwiftParameters

GIVEN = {"username": "u", "password": "p4ss", "authurl": "https://x/v3", "container": "c"}


def text(**changes: str) -> str:
    lines = [f"    {key}: {value}\n" for key, value in (GIVEN | changes).items()]
    return "version: 0.1\nstorage:\n  swift:\n" + "".join(lines)


def swift(**changes: str) -> SwiftParameters:
    found = parse(text(**changes)).storage.swift
    assert found is not None
    return found


def test_all_options_of_distribution() -> None:
    found = swift(
        tenant="1234",
        tenantid="5678",
        tenantdomain="td",
        tenantdomainid="tdi",
        domain="d",
        domainid="di",
        trustid="t",
        region="r",
        authversion="2",
        prefix="/a/b",
        endpointtype="internal",
        insecureskipverify="true",
        chunksize="1048576",
        secretkey="s",
        accesskey="a",
        tempurlcontainerkey="true",
        tempurlmethods="[GET, HEAD]",
    )
    assert (found.tenant, found.tenantid) == ("1234", "5678")  # whole numbers are texts
    assert (found.authversion, found.identity_version, found.endpointtype) == (2, 2, "internal")
    assert (found.chunksize, found.insecureskipverify, found.tempurlcontainerkey) == (1 << 20, True, True)
    assert found.tempurlmethods == ("GET", "HEAD")
    assert found.identity == ("c", "https://x/v3", "1234", "r", "a/b")


def test_options_from_the_environment() -> None:
    environ = {"REGISTRY_STORAGE_SWIFT_TENANT": "1234", "REGISTRY_STORAGE_SWIFT_TEMPURLMETHODS": "[GET]"}
    found = parse(text(), environ).storage.swift
    assert found is not None
    assert (found.tenant, found.tempurlmethods, found.chunksize) == ("1234", ("GET",), 20 << 20)


@pytest.mark.parametrize(
    ("url", "version"),
    [("https://x/v3/", 3), ("https://x/v2.0", 2), ("https://x/auth/v1.0", 1), ("https://v2.x/identity/v3", 3)],
)
def test_the_version_of_the_identity_service_is_in_its_url(url: str, version: int) -> None:
    assert swift(authurl=url).identity_version == version


def test_a_url_without_a_version_needs_one_beside_it() -> None:
    assert swift(authurl="https://x/", authversion="3").identity_version == 3
    (error,) = errors(text(authurl="https://x/"))
    assert error.startswith("config.yml:6: storage.swift.authurl names no version (v1, v2, v3) of the identity service")


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("chunksize", "1000", "is '1000'; expected a whole number from 1048576"),
        ("container", "a/b", "is 'a/b'; expected the name of a container: without a slash; what follows it belongs in"),
        ("authurl", "keystone/v3", "is 'keystone/v3'; expected a URL: with http:// or https://, and a host"),
        ("authurl", "https://keystone:x/v3", "expected a URL: Port could not be cast to integer"),
        ("authversion", "4", "is '4'; expected a whole number from 0 to 3"),
        (
            "endpointtype",
            "near",
            "is 'near'; expected one of public, internal, admin, publicURL, internalURL, adminURL",
        ),
    ],
)
def test_what_swift_would_refuse(key: str, value: str, problem: str) -> None:
    (error,) = errors(text(**{key: value}))
    assert problem in error


def test_openstacks_own_names_of_endpoints() -> None:
    assert swift(endpointtype="internalURL").endpointtype == "internal"


def test_what_distribution_ignores_has_no_effect_here_either() -> None:
    (warning,) = warnings(text(rootdirectory="/registry"))
    assert warning.startswith("config.yml:8: storage.swift.rootdirectory has no effect")
    assert swift(rootdirectory="/registry").identity[-1] == ""
