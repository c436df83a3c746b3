"""``storage.oss``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.config.reading import errors, parse, warnings

if TYPE_CHECKING:
    from matou.config.sections.oss import OssParameters

GIVEN = {"accesskeyid": "LTAI", "accesskeysecret": "s3cret", "region": "oss-cn-hangzhou", "bucket": "my-images"}


def text(**changes: str | None) -> str:
    lines = [f"    {key}: {value}\n" for key, value in (GIVEN | changes).items() if value is not None]
    return "version: 0.1\nstorage:\n  oss:\n" + "".join(lines)


def oss(**changes: str | None) -> OssParameters:
    found = parse(text(**changes)).storage.oss
    assert found is not None
    return found


def test_all_options_of_distribution() -> None:
    found = oss(
        internal="true",
        encrypt="true",
        encryptionkeyid="9468da86-3509-4f8d-a61e-6eab1eac0000",
        secure="false",
        endpoint="my-images.oss-cn-hangzhou.aliyuncs.com",
        chunksize="5242880",
        rootdirectory="/registry",
    )
    assert (found.accesskeyid, found.accesskeysecret) == ("LTAI", "s3cret")
    assert (found.internal, found.encrypt, found.secure) == (True, True, False)
    assert (found.chunksize, found.rootdirectory) == (5 << 20, "/registry")
    assert found.identity == ("my-images", "my-images.oss-cn-hangzhou.aliyuncs.com", "registry")


def test_options_from_the_environment() -> None:
    environ = {"REGISTRY_STORAGE_OSS_ENCRYPTIONKEYID": "k", "REGISTRY_STORAGE_OSS_ENCRYPT": "true"}
    found = parse(text(), environ).storage.oss
    assert found is not None
    assert (found.encrypt, found.encryptionkeyid, found.chunksize) == (True, "k", 10 << 20)


def test_a_bucket_is_written_small() -> None:
    assert oss(bucket="My-Images").bucket == "my-images"


def test_keys_may_be_missing_but_not_one_of_them() -> None:
    assert oss(accesskeyid=None, accesskeysecret=None).accesskeyid == ""
    for missing in ("accesskeyid", "accesskeysecret"):
        assert errors(text(**{missing: None})) == [
            f"config.yml:4: storage.oss.{missing} is missing; expected accesskeyid and accesskeysecret, or neither"
        ]


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        (
            "region",
            "oss-accelerate",
            "is 'oss-accelerate', which is no region: name the bucket's, and set endpoint to ",
        ),
        ("region", "https://x", "is 'https://x'; expected a region such as oss-cn-hangzhou or cn-hangzhou"),
        ("bucket", "a/b", "is 'a/b'; expected a bucket alone: a directory in it is rootdirectory"),
        ("bucket", "a_b", "is 'a_b'; expected 3 to 63 small letters, digits and hyphens"),
        ("endpoint", "https://x/y", "is 'https://x/y'; expected a host such as my-bucket.oss-cn-hangzhou.aliyuncs.com"),
        ("endpoint", "ftp://x", "is 'ftp://x'; expected a host such as"),
        ("endpoint", "x:port", "is 'x:port'; expected a host such as"),
        ("endpoint", '"https://[::1"', "is 'https://[::1'; expected a host such as"),
        ("endpoint", "https://", "is 'https://'; expected a host such as"),
        ("chunksize", "1048576", "is '1048576'; expected a whole number from 5242880 up"),
    ],
)
def test_what_oss_would_refuse(key: str, value: str, problem: str) -> None:
    (error,) = errors(text(**{key: value}))
    assert f"storage.oss.{key} {problem}" in error


def test_a_key_of_kms_without_encryption_is_warned_of() -> None:
    (warning,) = warnings(text(encryptionkeyid="k"))
    assert warning.endswith("storage.oss.encryptionkeyid has no effect unless encrypt is true")


def test_the_secret_is_not_shown() -> None:
    (error,) = errors(text(accesskeysecret="[very-secret]"))
    assert "storage.oss.accesskeysecret" in error
    assert "very-secret" not in error
