from __future__ import annotations

import json

import pytest

from matou.registry.drivers.base import NotFound, StorageError, Transient
from matou.registry.drivers.gcs.errors import PreconditionFailed, Unauthorized, failure


def said(message: str, reason: str = "") -> bytes:
    error = {"code": 1, "message": message, "errors": [{"message": message, "domain": "global", "reason": reason}]}
    return json.dumps({"error": error}).encode()


def of(status: int, body: bytes, **headers: str) -> StorageError:
    return failure(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, "b", "reading a")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("body", [b"", b"<html>\n<h1>Error</h1>", said("Backend Error", "backendError"), b"\xff\x00"])
def test_what_may_pass(status: int, body: bytes) -> None:
    error = of(status, body)
    assert isinstance(error, Transient)
    assert error.throttled == (status == 429)
    assert f"reading a: Google Cloud Storage answered {status}" in str(error)
    assert "<" not in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(("value", "expected"), [("7", 7.0), ("0", 0.0), ("", None), ("-1", None), ("soon", None)])
def test_how_long_the_service_asks_to_wait(value: str, expected: float | None) -> None:
    error = of(503, b"", Retry_After=value)
    assert isinstance(error, Transient)
    assert error.retry_after == expected


@pytest.mark.parametrize("reason", ["rateLimitExceeded", "userRateLimitExceeded"])
def test_limits_that_are_forbidden_are_throttling(reason: str) -> None:
    error = of(403, said("The total number of changes to the object exceeds the rate limit.", reason))
    assert isinstance(error, Transient)
    assert error.throttled


def test_an_object_is_told_from_a_bucket() -> None:
    assert isinstance(of(404, said("No such object: b/a", "notFound")), NotFound)
    assert isinstance(of(404, b"No such object: b/a"), NotFound)
    for body in (said("The specified bucket does not exist.", "notFound"), b"The specified bucket does not exist."):
        error = of(404, body)
        assert not isinstance(error, NotFound)
        assert str(error) == "the bucket b does not exist: look at storage.gcs.bucket"


def test_other_statuses_have_their_kinds() -> None:
    assert isinstance(of(412, said("conditionNotMet")), PreconditionFailed)
    assert isinstance(of(401, said("Invalid Credentials", "authError")), Unauthorized)
    assert type(of(400, said("Invalid bucket name: 'B'", "invalid"))) is StorageError


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "a@b does not have storage.objects.get access. Permission 'storage.objects.get' denied on resource.",
            "; the account lacks storage.objects.get on the bucket b: grant it the role Storage Object User",
        ),
        ("The billing account for the owning project is disabled in state absent", "look at its billing"),
        ("Cloud Storage JSON API has not been used in project 1 before or it is disabled.", "; enable the account, or"),
        ("Request is prohibited by organization's policy.", "; look at the account's roles on the bucket b and at the"),
    ],
    ids=["permission", "billing", "disabled", "policy"],
)
def test_what_is_forbidden_says_what_to_do(message: str, expected: str) -> None:
    error = of(403, said(message, "forbidden"))
    assert type(error) is StorageError
    assert str(error).startswith(f"reading a: Google Cloud Storage answered 403 ({message[:40]}")
    assert expected in str(error)


def test_what_the_service_says_is_cut() -> None:
    assert len(str(of(400, b"long " * 100_000))) < 400
