"""The same configurations, read by Debian's docker-registry and by Matou."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from matou.config.distribution import ConfigurationError, load_configuration

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = shutil.which("docker-registry")
MINIMAL = "version: 0.1\nstorage: inmemory\n"
FILESYSTEM = "version: 0.1\nstorage: {filesystem: {rootdirectory: ROOT}}\n"
Case = tuple[str, dict[str, str]]

BOTH_ACCEPT: list[Case] = [
    (MINIMAL, {}),
    (FILESYSTEM, {}),
    ("version: '0.1'\nstorage: inmemory\n", {}),
    ("version: 0.1\nstorage: {inmemory: }\n", {}),
    ("version: 0.1\n", {"REGISTRY_STORAGE": "inmemory"}),
    ("version: 0.1\nstorage: {s3: {bucket: b}}\n", {"REGISTRY_STORAGE": "inmemory"}),
    (
        "version: 0.1\nstorage: {s3: {bucket: b}}\n",
        {"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "ROOT", "REGISTRY_STORAGE": "filesystem"},
    ),
    (FILESYSTEM, {"REGISTRY_STORAGE_FILESYSTEM_MAXTHREADS": "50", "REGISTRY_STORAGE_DELETE_ENABLED": "true"}),
    (
        FILESYSTEM.replace("}}", "}, maintenance: {readonly: }}"),
        {"REGISTRY_STORAGE_MAINTENANCE_READONLY": "{enabled: true}"},
    ),
    (MINIMAL + "unknown: {key: 1}\n", {"REGISTRY_UNKNOWN": "1"}),
    (MINIMAL + "log: {level: INFO, fields: {a: {b: [c]}}}\n", {"REGISTRY_LOG_FIELDS_D_E": "f"}),
    (MINIMAL + "log: {level: warn}\nlog: {level: info}\n", {}),
    (MINIMAL + "loglevel: warn\n", {"REGISTRY_LOGLEVEL": "error"}),
    (MINIMAL + "http: {draintimeout: 1h30m, headers: {A: [b]}}\n", {"REGISTRY_HTTP_HEADERS": "{A: [c], D: [e]}"}),
    (MINIMAL + "http: {draintimeout: 5}\n", {"REGISTRY_HTTP_RELATIVEURLS": "yes"}),
    (MINIMAL + "http: {addr: ':1', secret: 0123}\n", {"REGISTRY_HTTP": ""}),
    (MINIMAL + "http:\nhealth:\nnotifications:\n", {}),
    (MINIMAL + "catalog: {maxentries: 0x10}\n", {"REGISTRY_CATALOG_MAXENTRIES": "1_000"}),
    (MINIMAL + "catalog: {maxentries: 5.0}\n", {}),
    (MINIMAL + "health: {tcp: [{addr: 'localhost:1', interval: 5s}]}\n", {"REGISTRY_HEALTH_TCPCHECKERS": "[]"}),
    (MINIMAL + "notifications: {endpoints: [{name: a, url: b, disabled: on, headers: {A: [b]}}]}\n", {}),
    (MINIMAL + "redis: {password: x, db: 1, pool: {maxidle: 1, idletimeout: 300s}}\n", {"REGISTRY_REDIS_DB": "2"}),
    (MINIMAL + "a: &a {addr: ':1'}\nhttp: {<<: *a, net: tcp}\n", {}),
    (MINIMAL + "---\nthis: [is not read\n", {}),
    (MINIMAL, {"REGISTRY_AUTH": "silly", "REGISTRY_AUTH_SILLY_REALM": "r", "REGISTRY_AUTH_SILLY_SERVICE": "s"}),
    (MINIMAL, {"REGISTRY_COMPATIBILITY_SCHEMA1_TRUSTKEY": "/k", "REGISTRY_VALIDATION_DISABLED": "true"}),
    (MINIMAL, {"REGISTRY_POLICY_REPOSITORY_CLASSES": "[]", "REGISTRY_PROXY_USERNAME": "u"}),
    (MINIMAL, {"REGISTRY_VERSION": "0.1"}),
]
BOTH_REFUSE: list[Case] = [
    ("", {}),
    ("[]\n", {}),
    ("storage: inmemory\n", {}),
    ("version: 0.2\nstorage: inmemory\n", {}),
    ("version: one\nstorage: inmemory\n", {}),
    ("version: 0.1\n", {}),
    ("version: 0.1\nstorage: {delete: {enabled: true}}\n", {}),
    ("version: 0.1\nstorage: {filesystem: , inmemory: }\n", {}),
    (MINIMAL, {"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/x"}),
    (MINIMAL + "auth: {silly: {realm: r, service: s}, token: }\n", {}),
    (MINIMAL + "http: [\n", {}),
    (MINIMAL + "http: 5\n", {}),
    (MINIMAL + "http: 5\n", {"REGISTRY_HTTP_ADDR": ":1"}),
    (MINIMAL + "http: {headers: {A: b}}\n", {}),
    (MINIMAL + "http: {draintimeout: soon}\n", {}),
    (MINIMAL + "http: {relativeurls: perhaps}\n", {}),
    (MINIMAL + "log: {level: loud}\n", {}),
    (MINIMAL + "loglevel: loud\n", {}),
    (MINIMAL + "log: {fields: [a]}\n", {}),
    (MINIMAL + "catalog: {maxentries: many}\n", {}),
    (MINIMAL + "health: {file: x}\n", {}),
    (MINIMAL + "compatibility: x\n", {}),
    (MINIMAL + "a: *b\n", {}),
    (MINIMAL, {"REGISTRY_HTTP_HEADERS_A": "b"}),
    (MINIMAL, {"REGISTRY_HTTP_DRAINTIMEOUT": "soon"}),
    (MINIMAL, {"REGISTRY_LOG_LEVEL": "loud"}),
    (MINIMAL, {"REGISTRY_LOG_LEVEL": "@"}),
    (MINIMAL, {"REGISTRY_NOTIFICATIONS_ENDPOINTS": "text"}),
]
# What templates write, and what a person can only have meant in one way.
WE_ACCEPT: list[Case] = [
    (MINIMAL + "http: {relativeurls: 'true'}\n", {}),
    (MINIMAL + "catalog: {maxentries: '5'}\n", {}),
]
# Ignoring it would let everybody in, or lose a setting.
WE_REFUSE: list[Case] = [
    (MINIMAL + "auth:\n", {}),
    (MINIMAL + "auth: ldap\n", {}),
    (MINIMAL + "proxy: {remoteurl: 'https://registry-1.docker.io'}\n", {}),
    (MINIMAL, {"REGISTRY_HEALTH_FILECHECKERS_X_FILE": "/x"}),
]


def docker_registry_accepts(path: Path, environ: dict[str, str]) -> bool:
    """Let docker-registry read a configuration: collecting reads it and then looks for images."""
    assert PROGRAM is not None, "docker-registry is not installed; .ci/packages tests installs it"
    run = subprocess.run(
        [PROGRAM, "garbage-collect", "--dry-run", str(path)],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    refused = "configuration error" in run.stderr or "panic:" in run.stderr
    assert refused or "Path not found: /docker/registry/v2/repositories" in run.stderr, run.stderr
    return not refused


def matou_accepts(path: Path, environ: dict[str, str]) -> bool:
    try:
        load_configuration(path, environ)
    except ConfigurationError:
        return False
    return True


@pytest.mark.parametrize(
    ("theirs", "ours", "text", "environ"),
    [
        *((True, True, *case) for case in BOTH_ACCEPT),
        *((False, False, *case) for case in BOTH_REFUSE),
        *((False, True, *case) for case in WE_ACCEPT),
        *((True, False, *case) for case in WE_REFUSE),
    ],
)
def test_read_by_both(theirs: bool, ours: bool, text: str, environ: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text(text.replace("ROOT", str(tmp_path)))
    environ = {name: value.replace("ROOT", str(tmp_path)) for name, value in environ.items()}
    assert (docker_registry_accepts(path, environ), matou_accepts(path, environ)) == (theirs, ours)
