"""Progress of copying: a bar with objects, bytes, rate and time left on a terminal, silence elsewhere."""

from __future__ import annotations

import contextlib
import time
from datetime import timedelta
from typing import TYPE_CHECKING, TextIO

from matou.cli.language import mark
from matou.cli.language import text as _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress

    from matou.registry.migration.inventory import Amount

PHASES = (
    mark("listing the destination"),
    mark("listing the source"),
    mark("counting the destination"),
    mark("deleting"),
    mark("following the registry"),
)
COPYING = mark("copying")
OBJECT_EFFORT = 1 << 16  # bytes that could be copied in the time that an object takes, however small it is
REDRAWN_EVERY = 0.1  # seconds
UNIT = 1024


def bytes_text(size: float) -> str:
    """Return an amount of bytes for people: ``1.5 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < UNIT:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= UNIT
    return f"{size:.1f} TiB"


def duration_text(seconds: float) -> str:
    """Return a duration for people: ``0:03:25``."""
    return str(timedelta(seconds=round(seconds)))


class TransferDisplay:
    """An observer of a migration.

    Args:
        bars: where progress is drawn, if it is.
        tell: called with what a dry run would do.
    """

    def __init__(self, bars: Progress | None, tell: Callable[[str, str], None] | None) -> None:
        self._bars = bars
        self._tell = tell
        self._phase = ""
        self._begun = 0.0
        self._drawn = 0.0
        if bars is not None:
            self._task = bars.add_task("", total=None, amount="", rate="")

    def phase(self, name: str, done: int) -> None:
        """See ``migration.report.Observer``."""
        if self._is_due(name):
            self._draw(_(name), None, 0, f"{done:,}", self._rate(done))

    def progress(self, done: Amount, total: Amount) -> None:
        """See ``migration.report.Observer``."""
        if self._is_due(COPYING) or done.objects == total.objects:
            amount = f"{done.objects:,}/{total.objects:,}  {bytes_text(done.bytes)}/{bytes_text(total.bytes)}"
            elapsed = time.monotonic() - self._begun
            rate = f"{bytes_text(done.bytes / elapsed)}/s" if elapsed > 0 and done.bytes else ""
            self._draw(_(COPYING), _effort(total), _effort(done), amount, rate)

    def would(self, action: str, path: str) -> None:
        """See ``migration.report.Observer``."""
        if self._tell is not None:
            self._tell(action, path)

    def _is_due(self, phase: str) -> bool:
        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._begun, self._drawn = phase, now, 0.0
            if self._bars is not None:
                self._bars.reset(self._task)
        if now - self._drawn < REDRAWN_EVERY:
            return False
        self._drawn = now
        return True

    def _rate(self, done: int) -> str:
        elapsed = time.monotonic() - self._begun
        return f"{done / elapsed:,.0f}/s" if elapsed > 0 and done else ""

    def _draw(self, phase: str, total: float | None, done: float, amount: str, rate: str) -> None:
        if self._bars is not None:
            self._bars.update(self._task, description=phase, total=total, completed=done, amount=amount, rate=rate)


def _effort(amount: Amount) -> int:
    return amount.bytes + amount.objects * OBJECT_EFFORT


@contextlib.contextmanager
def transfer_display(stream: TextIO, tell: Callable[[str, str], None] | None = None) -> Iterator[TransferDisplay]:
    """Yield an observer of a migration.

    Args:
        stream: where progress is drawn, if it is a terminal.
        tell: called with what a dry run would do.
    """
    if not stream.isatty():
        yield TransferDisplay(None, tell)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[amount]}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as bars:
        yield TransferDisplay(bars, tell)
