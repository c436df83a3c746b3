"""``matou storage check-access`` as a shell runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from matou.registry.access import STEPS
from tests.unit.cli.shell import matou

if TYPE_CHECKING:
    from pathlib import Path


def configured(folder: Path) -> str:
    path = folder / "config.yml"
    path.write_text(
        f"{{version: 0.1, storage: {{filesystem: {{rootdirectory: {folder / 'tree'}}}}}, http: {{addr: ':1'}}}}"
    )
    return str(path)


def test_every_step_has_a_line_and_nothing_is_left(tmp_path: Path) -> None:
    done = matou("storage", "check-access", configured(tmp_path))
    assert (done.status, done.err) == (0, "")
    assert [line.split(":")[0] for line in done.out.splitlines()] == list(STEPS)
    assert [path for path in (tmp_path / "tree").rglob("*") if path.is_file()] == []


def test_the_steps_as_json(tmp_path: Path) -> None:
    report = json.loads(matou("storage", "check-access", "--json", configured(tmp_path)).out)
    assert (report["driver"], report["ok"]) == ("filesystem", True)
    assert [step["step"] for step in report["steps"]] == list(STEPS)
