from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import pytest

from matou.config.distribution import Configuration, ConfigurationError, load_configuration, parse_configuration
from matou.config.sections.storage import Redirect

MINIMAL = "version: 0.1\nstorage: inmemory\n"
DEBIAN = Path("/etc/docker/registry/config.yml")


def parse(text: str, environ: dict[str, str] | None = None) -> Configuration:
    return parse_configuration(text.encode(), "config.yml", environ or {})


def errors(text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, environ)
    return str(caught.value).splitlines()


def test_debians_configuration() -> None:
    found = load_configuration(DEBIAN, {})
    assert not found.warnings
    assert found.storage.driver == "filesystem"
    assert found.storage.filesystem.rootdirectory == "/var/lib/docker-registry"
    assert found.storage.delete.enabled
    assert found.http.addr == ":5000"
    assert dict(found.http.headers) == {"X-Content-Type-Options": ("nosniff",)}
    assert found.auth is not None
    assert found.auth.htpasswd is not None
    assert found.auth.htpasswd.path == "/etc/docker/registry"
    assert found.health.storagedriver.enabled
    assert found.health.storagedriver.threshold == 3


def test_it_is_picklable_and_replaceable() -> None:
    found = load_configuration(DEBIAN, {"REGISTRY_UNKNOWN": "1"})
    assert found.warnings
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 -- its own
    changed = dataclasses.replace(found, http=dataclasses.replace(found.http, secret="s"))
    assert changed.http.secret == "s"
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.version = "2"  # type: ignore[misc] # this is what must fail


def test_defaults() -> None:
    found = parse(MINIMAL)
    purging = found.storage.maintenance.uploadpurging
    assert (purging.enabled, purging.age, purging.interval, purging.dryrun) == (True, 604800.0, 86400.0, False)
    assert found.storage.redirect == Redirect(disable=False, expirydelay=1200.0)
    assert found.validation.is_enabled
    assert found.auth is None
    assert (found.catalog.maxentries, found.tags.maxtags) == (1000, 1000)
    assert found.log.level == "info"
    assert not found.warnings


@pytest.mark.parametrize(
    ("storage", "keys"),
    [
        ("s3: {region: '', bucket: ' '}", ("region", "bucket")),
        ("s3_v2: {region: eu-west-1, bucket: ''}", ("bucket",)),
        ("gcs: {bucket: ''}", ("bucket",)),
        ("azure: {accountname: abc, accountkey: 'YQ==', container: ''}", ("container",)),
        (
            "swift: {authurl: '', username: '', password: '', container: ''}",
            ("authurl", "container", "password", "username"),
        ),
        ("oss: {region: '', bucket: ''}", ("bucket", "region")),
        ("filesystem: {rootdirectory: ''}", ("rootdirectory",)),
    ],
)
def test_what_a_driver_needs_may_not_be_empty(storage: str, keys: tuple[str, ...]) -> None:
    found = errors(f"version: 0.1\nstorage:\n  {storage}\n")
    driver = storage.partition(":")[0]
    assert len(found) == len(keys)
    for key in keys:
        assert any(line.startswith(f"config.yml:3: storage.{driver}.{key} is empty; expected ") for line in found)
    # Nothing at all is another thing.
    (line,) = errors("version: 0.1\nstorage:\n  gcs: {bucket: }\n")
    assert "storage.gcs.bucket is missing" in line


def test_several_problems_are_one_line_each() -> None:
    found = errors("version: 0.1\nstorage: inmemory\nhttp:\n  draintimeout: soon\n  relativeurls: maybe\n")
    assert found == [
        "config.yml:4: http.draintimeout is 'soon'; expected a duration such as 30s, 1h30m or 500ms",
        "config.yml:5: http.relativeurls is 'maybe'; expected true or false",
    ]
