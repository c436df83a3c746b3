from __future__ import annotations

import logging

import pytest

from matou.registry.errors import ERROR_CODES, RegistryError
from matou.registry.observe.refusals import log_refusal, refusal_level


@pytest.mark.parametrize(
    ("code", "level"),
    [
        ("UNAUTHORIZED", logging.DEBUG),
        ("BLOB_UNKNOWN", logging.DEBUG),
        ("DENIED", logging.WARNING),
        ("TOOMANYREQUESTS", logging.WARNING),
        ("MANIFEST_INVALID", logging.INFO),
        ("UNSUPPORTED", logging.INFO),
        ("UNAVAILABLE", logging.ERROR),
    ],
)
def test_level(code: str, level: int) -> None:
    assert refusal_level(ERROR_CODES[code].status) == level


def test_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "matou.registry")
    log_refusal(RegistryError("DENIED", detail={"why": "x" * 1000}))
    log_refusal(RegistryError("BLOB_UNKNOWN"))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.__dict__["err.code"] == "DENIED"
    assert record.__dict__["http.response.status"] == 403
    assert record.__dict__["err.detail"].startswith('{"why": "xxx')
    assert len(record.__dict__["err.detail"]) == 512
