"""Exit statuses, errors, and what a command loads."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from matou.cli import application
from matou.cli.failure import CommandFailed, WrongUsage
from tests.unit.cli.shell import environment, matou

if TYPE_CHECKING:
    from pathlib import Path


def test_version_is_said_by_option_and_by_command() -> None:
    option, command = matou("--version"), matou("version")
    assert option == command
    assert option.status == 0
    assert option.out.startswith("matou 0.")


@pytest.mark.parametrize("arguments", [("--help",), ("registry", "--help"), ("registry", "serve", "--help")])
def test_help_goes_to_standard_output(arguments: tuple[str, ...]) -> None:
    done = matou(*arguments)
    assert (done.status, done.err) == (0, "")
    assert "Usage: matou" in done.out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "Missing command. (see 'matou --help')"),
        (("registry",), "Missing command. (see 'matou registry --help')"),
        (("serv",), "No such command 'serv'. Did you mean 'serve'? (see 'matou --help')"),
        (("nonsense",), "No such command 'nonsense'. (see 'matou --help')"),
        (
            ("registry", "config-check", "--strictt"),
            "No such option: --strictt (possible options: --strict) (see 'matou registry config-check --help')",
        ),
        (("serve", "--zzz"), "No such option: --zzz (see 'matou serve --help')"),
        (("version", "extra", "more"), "Unexpected arguments: extra more (see 'matou version --help')"),
        (("registry", "config-check", "--strict=1"), "Option '--strict' does not take a value."),
        (("admin",), "Missing command. (see 'matou admin --help')"),
        (
            ("admin", "create-project", "a/b", "--visibility", "secret"),
            (
                "Invalid value for '--visibility': 'secret' is not one of 'private', 'internal', 'public'. "
                "(see 'matou admin create-project --help')"
            ),
        ),
        (
            ("admin", "create-token", "root", "--scope", "api", "--expires-at", "tomorrow"),
            (
                "Invalid value for '--expires-at': 'tomorrow' is not a date such as 2027-01-31. "
                "(see 'matou admin create-token --help')"
            ),
        ),
        (
            ("registry", "serve"),
            "configuration path unspecified: give CONFIG, or set REGISTRY_CONFIGURATION_PATH",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments: tuple[str, ...], complaint: str) -> None:
    done = matou(*arguments)
    assert (done.status, done.out, done.err) == (2, "", f"matou: {complaint}\n")


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("MATOU_PORTAL_ADDR", "8080", "MATOU_PORTAL_ADDR is '8080'; expected host:port, such as 127.0.0.1:8080"),
        ("MATOU_REGISTRY_WORKERS", "many", "MATOU_REGISTRY_WORKERS is 'many'; expected a whole number from 1 to 256"),
    ],
)
def test_a_failure_is_one_line_and_status_1(variable: str, value: str, told: str, tmp_path: Path) -> None:
    done = matou("serve", MATOU_HOME=str(tmp_path), **{variable: value})
    assert (done.status, done.out, done.err) == (1, "", f"matou: {told}\n")


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (CommandFailed("first\nsecond"), 1, "matou: first\nmatou: second\n"),
        (WrongUsage("how?"), 2, "matou: how?\n"),
        (FileNotFoundError(2, "No such file or directory", "x.yml"), 1, "matou: x.yml: No such file or directory\n"),
        (OSError(28, "No space left on device"), 1, "matou: No space left on device\n"),
        (KeyboardInterrupt(), 130, "matou: interrupted\n"),
        (
            ValueError("not\n  this"),
            1,
            "matou: unexpected error: ValueError: not this; set MATOU_DEBUG=1 to see where\n",
        ),
        (AssertionError(), 1, "matou: unexpected error: AssertionError; set MATOU_DEBUG=1 to see where\n"),
    ],
)
def test_what_becomes_of_exceptions(
    error: BaseException,
    status: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Command:
        def main(self, **_arguments: object) -> None:
            raise error

    monkeypatch.delenv("MATOU_DEBUG", raising=False)
    monkeypatch.setenv("LANGUAGE", "C")
    monkeypatch.setattr(application, "build", Command)
    assert application.run(["anything"]) == status
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", told)


def test_matou_debug_shows_where_an_error_came_from(tmp_path: Path) -> None:
    done = matou("serve", MATOU_HOME=str(tmp_path), MATOU_PORTAL_ADDR="nowhere", MATOU_DEBUG="1")
    assert done.status == 1
    assert "Traceback" in done.err
    assert "InstallationError" in done.err


# What a command must not load: the seconds that it costs, or the plane that it is not of.
HEAVY = ("django", "granian", "sqlalchemy", "alembic", "cryptography", "matou.registry", "matou.portal")
PROGRAM = """\
import json, sys
from matou.cli.application import run
status = run(sys.argv[1:])
print()
print(json.dumps([status, sorted(sys.modules)]))
"""


def loaded_by(*arguments: str) -> tuple[int, set[str]]:
    """Run a command line; return its status and the modules that are loaded at its end."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    status, modules = json.loads(done.stdout.splitlines()[-1])
    return status, set(modules)


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("version",), ("serve", "--help"), ("registry", "--help"), ("registry", "serve", "--help")],
)
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    status, modules = loaded_by(*arguments)
    assert status == 0
    assert sorted(modules & set(HEAVY)) == []


def test_the_supervisor_loads_neither_plane(tmp_path: Path) -> None:
    program = "import sys, matou.supervisor; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert sorted(set(done.stdout.split()) & {"django", "granian", "sqlalchemy", "pydantic", "matou.portal"}) == []
