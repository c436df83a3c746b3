"""The display of copying draws on terminals and is silent elsewhere."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from matou.cli import transfer_display as module
from matou.cli.transfer_display import transfer_display
from matou.registry.migration.inventory import Amount
from tests.unit.cli.test_progress import drawn, terminal

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["terminal"]

MIB = 1 << 20


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("LANGUAGE", "C")
    monkeypatch.setattr(module, "REDRAWN_EVERY", 0.0)


def test_a_pipe_sees_nothing_and_a_dry_run_is_told() -> None:
    stream = io.StringIO()
    told: list[tuple[str, str]] = []
    with transfer_display(stream, lambda action, path: told.append((action, path))) as display:
        display.phase("listing the source", 1000)
        display.progress(Amount(1, 2), Amount(3, 4))
        display.would("copy", "docker/x")
    assert stream.getvalue() == ""
    assert told == [("copy", "docker/x")]


def test_a_terminal_sees_counts_bytes_and_bar(
    terminal: tuple[int, TextIO],
) -> None:
    descriptor, stream = terminal
    with transfer_display(stream) as display:
        display.phase("listing the source", 12_000)
        display.progress(Amount(1, MIB), Amount(2000, 3 * MIB))
        display.progress(Amount(1500, 2 * MIB), Amount(2000, 3 * MIB))
        display.would("copy", "docker/x")
    text = drawn(descriptor)
    for expected in ("listing the source", "12,000", "copying", "1,500/2,000", "2.0 MiB/3.0 MiB", "iB/s", "━"):
        assert expected in text
