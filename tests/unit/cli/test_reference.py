"""docs/reference/commands.md is what the commands say."""

from __future__ import annotations

import subprocess
import sys

from tests.unit.architecture.checkout import ROOT
from tests.unit.cli.shell import environment

PAGE = ROOT / "docs" / "reference" / "commands.md"


def test_the_page_is_current() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "matou.cli.reference"],
        env=environment(PYTHONUTF8="1"),
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    assert PAGE.read_text("utf-8") == made, f"run: {sys.executable} -m matou.cli.reference > docs/reference/commands.md"
