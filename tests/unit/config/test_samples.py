from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matou.config.installation import Installation
from matou.supervisor.registry_config import render
from tests.unit.config.reading import errors, parse
from tests.unit.config.samples import DEVELOPMENT, OMNIBUS, REFUSED, SMALL

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("text", [SMALL, OMNIBUS, DEVELOPMENT])
def test_is_accepted_without_a_word(text: str) -> None:
    assert [str(each) for each in parse(text).warnings] == []


def test_what_matou_serve_writes(tmp_path: Path) -> None:
    installation = Installation.from_environ(
        {"MATOU_HOME": str(tmp_path), "MATOU_REGISTRY_URL": "https://r.example.com"}
    )
    found = parse(render(installation, "secret"))
    assert found.warnings == ()
    assert found.storage.filesystem.rootdirectory == str(installation.registry_storage)
    assert (found.http.addr, found.http.host) == (installation.registry_addr, "https://r.example.com")
    assert found.storage.delete.enabled


def test_omnibus() -> None:
    found = parse(OMNIBUS)
    assert found.storage.driver == "filesystem"
    assert found.storage.filesystem.rootdirectory == "/var/opt/gitlab/gitlab-rails/shared/registry"
    assert found.storage.delete.enabled
    assert found.auth is not None
    assert found.auth.token is not None
    assert found.auth.token.realm == "https://gitlab.example.com/jwt/auth"
    assert found.auth.token.rootcertbundle == "/var/opt/gitlab/registry/gitlab-registry.crt"
    assert not found.validation.is_enabled
    assert found.http.secret == "6b0d7b0c"
    assert found.log.fields == {"service": "registry", "environment": "production"}
    assert found.database.enabled == "prefer"


def test_development() -> None:
    found = parse(DEVELOPMENT)
    assert found.log.level == "debug"
    assert found.log.accesslog.disabled
    assert not found.storage.maintenance.uploadpurging.enabled
    assert (found.catalog.maxentries, found.tags.maxtags) == (500, 700)
    http = found.http
    assert (http.addr, http.prefix, http.host) == ("localhost:5000", "/registry/", "https://images.example.com")
    assert (http.draintimeout, http.relativeurls, http.http2.disabled) == (60.0, True, True)
    assert (http.debug.addr, http.debug.prometheus.enabled, http.debug.prometheus.path) == (
        "localhost:5001",
        True,
        "/metrics",
    )
    assert [check.file for check in found.health.file] == ["/run/images.down"]
    assert found.health.http[0].headers == {"A": ("b",)}
    assert (found.health.http[0].timeout, found.health.http[0].statuscode) == (3.0, 200)
    assert found.health.tcp[0].addr == "localhost:6379"
    indexes = found.validation.manifests.indexes
    assert indexes.platforms == "list"
    assert [(platform.os, platform.architecture) for platform in indexes.platformlist] == [("linux", "amd64")]
    assert found.validation.manifests.urls.allow == ("^https://example\\.com/",)


def test_what_is_not_there_is_refused_by_name() -> None:
    found = errors(REFUSED)
    assert [line.split(" (")[0] for line in found] == [
        f"config.yml:{line}: {key} is not supported by this version of Matou"
        for line, key in [
            (9, "middleware.storage"),
            (19, "notifications.endpoints"),
            (23, "proxy.remoteurl"),
            (26, "compatibility.schema1.enabled"),
            (28, "reporting.bugsnag.apikey"),
        ]
    ]
