"""Progress of long commands: a bar with rate and time left on a terminal, silence elsewhere."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, TextIO

from matou.cli.language import mark
from matou.cli.language import text as _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress, TaskID

PHASES = (mark("repositories"),)
TAGS = re.compile(r"tags of (?P<repository>.+)")


def phase_text(phase: str) -> str:
    """Return what a phase is called in the user's language."""
    tags = TAGS.fullmatch(phase)
    if tags is not None:
        return _("tags of {repository}").format(**tags.groupdict())
    return _(phase)


@contextlib.contextmanager
def progress_display(stream: TextIO) -> Iterator[Callable[[str, int, int | None], None]]:
    """Yield a function to call with the phase, how much of it is done, and how much there is (None: not known).

    Args:
        stream: where the bar is drawn, if it is a terminal.
    """
    if not stream.isatty():
        yield lambda _phase, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as bars:
        yield _Phases(bars).advance


class _Phases:
    """One bar for each phase, in the order in which they begin."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def advance(self, phase: str, done: int, total: int | None) -> None:
        """Draw how far a phase is."""
        if phase not in self._tasks:
            self._tasks[phase] = self._bars.add_task(phase_text(phase), total=total, rate="")
        number = self._tasks[phase]
        task = next(task for task in self._bars.tasks if task.id == number)
        elapsed = task.elapsed or 0.0
        rate = f"{done / elapsed:,.0f}/s" if elapsed > 0 and done else ""
        self._bars.update(number, completed=done, total=total, rate=rate)
        if total is not None and done >= total and len(self._tasks) > 1:
            self._bars.remove_task(self._tasks.pop(phase))
