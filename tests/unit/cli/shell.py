"""The command line as a user's shell runs it."""

from __future__ import annotations

import subprocess
from typing import NamedTuple

from tests.servers import program
from tests.servers.program import MATOU

LANGUAGE_VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


class Ended(NamedTuple):
    """What came of a command."""

    status: int
    out: str
    err: str


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without settings of Matou and of the language, but with ``variables``."""
    kept = {name: value for name, value in program.environment().items() if name not in LANGUAGE_VARIABLES}
    return kept | {"COLUMNS": "80"} | variables


def matou(*arguments: str, **variables: str) -> Ended:
    """Run a command to its end."""
    done = subprocess.run(
        [MATOU, *arguments],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
