"""``storage.gcs``: every option of Distribution 2.8 and 3 and of GitLab's fork."""

from __future__ import annotations

import pytest

from tests.unit.config.reading import errors, parse

BEGINNING = "version: 0.1\nstorage:\n  gcs:\n"


def test_every_option() -> None:
    options = """\
    bucket: images
    keyfile: /etc/key.json
    credentials:
      type: service_account
      project_id: 12345
      client_email: a@b
    rootdirectory: /registry
    chunksize: 5242880
    maxconcurrency: 25
    useragent: me
    parallelwalk: true
    debug_log: true
"""
    configuration = parse(BEGINNING + options)
    gcs = configuration.storage.gcs
    assert gcs is not None
    assert configuration.warnings == ()
    assert (gcs.bucket, gcs.keyfile, gcs.rootdirectory) == ("images", "/etc/key.json", "/registry")
    assert gcs.credentials == {"type": "service_account", "project_id": 12345, "client_email": "a@b"}
    assert (gcs.chunksize, gcs.maxconcurrency, gcs.useragent) == (5 << 20, 25, "me")
    assert (gcs.parallelwalk, gcs.debug_log) == (True, True)
    assert configuration.storage.identity == ("gcs", "images", "registry")


def test_what_is_not_given() -> None:
    gcs = parse(BEGINNING + "    bucket: images\n").storage.gcs
    assert gcs is not None
    assert (gcs.chunksize, gcs.maxconcurrency, gcs.parallelwalk, gcs.credentials) == (5 << 20, 50, False, {})


def test_options_from_the_environment() -> None:
    variables = {"REGISTRY_STORAGE_GCS_BUCKET": "other", "REGISTRY_STORAGE_GCS_KEYFILE": "/k"}
    gcs = parse(BEGINNING + "    bucket: images\n", variables).storage.gcs
    assert gcs is not None
    assert (gcs.bucket, gcs.keyfile) == ("other", "/k")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("{}", "storage.gcs.bucket is missing"),
        ("{bucket: images/registry}", "storage.gcs.bucket is 'images/registry'; expected the name of a bucket alone"),
        (
            "{bucket: b, chunksize: 5000000}",
            "storage.gcs.chunksize is 5000000; expected a multiple of 262144 (256 KiB)",
        ),
        ("{bucket: b, chunksize: 1024}", "storage.gcs.chunksize is '1024'; expected a whole number from 262144 up"),
        ("{bucket: b, credentials: text}", "storage.gcs.credentials is"),
    ],
)
def test_what_is_wrong_is_named(options: str, expected: str) -> None:
    (found,) = errors(f"version: 0.1\nstorage:\n  gcs: {options}\n")
    assert expected in found
