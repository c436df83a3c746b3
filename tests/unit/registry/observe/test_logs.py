from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from matou.config.sections.log import Log
from matou.registry.observe.logs import level_of

# Logging is the state of a process, so each case has a process of its own.
PROGRAM = """
import logging, sys, threading, warnings
from granian import Granian
from matou.registry.observe.logs import configure_logging, granian_level, granian_logging
from matou.config.sections.log import Log
section = Log(**{section!r})
configure_logging(section)
Granian("x", log_level=granian_level(section), log_dictconfig=granian_logging())
log = logging.getLogger("matou.registry")
{statements}
"""


def run(statements: str, **section: Any) -> tuple[str, str, int]:
    program = PROGRAM.format(section=section, statements=statements)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout, done.stderr, done.returncode


def messages(lines: str) -> list[tuple[str, str]]:
    return [(entry["level"], entry["msg"]) for entry in map(json.loads, lines.splitlines())]


STATEMENTS = """
for name in ("debug", "info", "warning", "error"):
    getattr(log, name)("a %s", name)
logging.getLogger("library").info("not heard")
logging.getLogger("library").warning("heard")
logging.getLogger("_granian").info("a worker started")
logging.getLogger("_granian").error("a worker died")
"""


@pytest.mark.parametrize(
    ("level", "heard"),
    [("error", 1), ("warn", 2), ("info", 3), ("", 3), ("debug", 4)],
)
def test_levels(level: str, heard: int) -> None:
    _, lines, _ = run(STATEMENTS, level=level, formatter="json")
    got = messages(lines)
    ours = [("debug", "a debug"), ("info", "a info"), ("warning", "a warning"), ("error", "a error")]
    assert [entry for entry in got if entry[1].startswith("a ") and "worker" not in entry[1]] == ours[4 - heard :]
    assert ("error", "a worker died") in got
    assert (("info", "a worker started") in got) == (level == "debug")
    assert (("warning", "heard") in got) == (level != "error")
    assert "not heard" not in lines


def test_output() -> None:
    out, error, _ = run('log.info("here")', output="stdout")
    assert "msg=here" in out
    assert error == ""


def test_uncaught_exceptions_are_lines() -> None:
    _, lines, status = run(
        "threading.Thread(target=lambda: 1 / 0).start()\nwarnings.warn('careful')\nraise LookupError('lost')",
        formatter="json",
    )
    entries = [json.loads(line) for line in lines.splitlines()]
    assert status == 1
    assert {entry["level"] for entry in entries} == {"critical", "warning"}
    assert {entry["msg"] for entry in entries if entry["level"] == "critical"} == {
        "uncaught exception: lost",
        "uncaught exception: division by zero",
    }
    assert any("careful" in entry["msg"] for entry in entries)


def test_a_reader_that_is_gone_does_no_harm() -> None:
    _, _, status = run("import os\nos.close(2)\nlog.error('x')\nos._exit(3)")
    assert status == 3


def test_unknown_level() -> None:
    with pytest.raises(ValueError, match="expected one of error, warn, info, debug"):
        level_of(Log(level="loud"))
