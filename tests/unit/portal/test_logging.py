from __future__ import annotations

import logging
import sys

import pytest

from matou.portal.logging import LineFormatter, log_access, loggable_target


@pytest.mark.parametrize(
    ("path", "query", "wanted"),
    [
        ("/a", "", "/a"),
        ("/a", "b=c", "/a?b=c"),
        ("/a", "private_token=glpat-x&b=1", "/a?private_token=[FILTERED]&b=1"),
        ("/a", "access_token=x", "/a?access_token=[FILTERED]"),
        ("/a", "job_token=x", "/a?job_token=[FILTERED]"),
        ("/a", "PRIVATE%5FTOKEN=x", "/a?PRIVATE_TOKEN=[FILTERED]"),
        ("/a", "user[password]=x", "/a?user%5Bpassword%5D=[FILTERED]"),
        ("/a", "client_secret=x", "/a?client_secret=[FILTERED]"),
        ("/a", "scope=repository:a/b:pull,push", "/a?scope=repository:a/b:pull,push"),
        ("/a", "x=%0A%22", "/a?x=%0A%22"),
        ("/a", "x=%ff", "/a?x=%EF%BF%BD"),
    ],
)
def test_targets_are_logged_without_secrets(path: str, query: str, wanted: str) -> None:
    assert loggable_target(path, query) == wanted


def test_long_targets_are_cut() -> None:
    assert len(loggable_target("/" + "a" * 5000, "b=" + "c" * 100_000)) == 2000


def record(message: str, **values: object) -> str:
    made = logging.LogRecord("matou", logging.WARNING, "x.py", 1, message, None, None)
    made.__dict__.update(values)
    return LineFormatter().format(made)


def test_a_line_is_one_line() -> None:
    line = record('say "hi"\nlevel=error forged', fields={"status": 200, "path": "/a b"})
    assert "\n" not in line
    assert 'level=warning msg="say \\"hi\\"\\nlevel=error forged" process=portal status=200 path="/a b"' in line


def test_tracebacks_are_in_the_line() -> None:
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        line = record("failed", exc_info=sys.exc_info())
    assert "\n" not in line
    assert "RuntimeError: broken" in line
    assert "Traceback" in line


@pytest.mark.parametrize(("target", "level"), [("/-/readiness", logging.DEBUG), ("/jwt/auth", logging.INFO)])
def test_what_is_asked_all_the_time_is_for_debugging(target: str, level: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "matou.portal.access"):
        log_access({"target": target, "status": 200})
    assert [record.levelno for record in caplog.records] == [level]
