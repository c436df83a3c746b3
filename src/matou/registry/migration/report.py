"""What a migration tells: while it runs, and in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from matou.registry.migration.inventory import Amount

MOST_PROBLEMS = 1000  # that are kept for the report; the log has all


@dataclass(slots=True)
class Report:
    """What was done, or with ``dry_run`` would have been.

    Attributes:
        dry_run: nothing was changed.
        objects: that the source has below ``docker/``, uploads in progress left out.
        bytes: of them.
        copied: objects.
        copied_bytes: of them.
        skipped: objects that the destination had already.
        deleted: objects that only the destination had.
        failed: objects that were not copied; the log says why.
        retryable: those of them that another run may copy.
        source_count: objects at the source in the end.
        destination_count: objects at the destination in the end, counted there.
        surplus: objects of a registry that only the destination has.
        foreign: objects that only the destination has, and no registry makes.
        index: what became of the index: ``copied``, ``left to the first start``, or ``unchanged``.
        changes: that the registry made meanwhile, and that were copied, too (``--live``).
        contents: blobs and manifests that the registry's index has in the end (``--live``).
        contents_there: those of them that the destination has (``--live``).
        paused: seconds for which changes had to wait (``--live``).
        slowed: seconds for which changes came faster than they could be copied, and were slowed down (``--live``).
        switched: whether the registry works with the destination now (``--live``).
        seconds: that it took.
        problems: one line each, of those that failed.
    """

    dry_run: bool = False
    objects: int = 0
    bytes: int = 0
    copied: int = 0
    copied_bytes: int = 0
    skipped: int = 0
    deleted: int = 0
    failed: int = 0
    retryable: int = 0
    source_count: int = 0
    destination_count: int = 0
    surplus: int = 0
    foreign: int = 0
    index: str = "unchanged"
    changes: int = 0
    contents: int = 0
    contents_there: int = 0
    paused: float = 0.0
    slowed: float = 0.0
    switched: bool = False
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether both sides have the same objects."""
        if self.switched:
            return self.contents_there == self.contents
        return self.source_count == self.destination_count - self.foreign and not self.surplus

    @property
    def is_complete(self) -> bool:
        """Whether the destination has all that the source has."""
        if self.failed or self.switched:
            return not self.failed and self.contents_there == self.contents
        return self.destination_count - self.surplus - self.foreign >= self.source_count

    def add_problem(self, line: str) -> None:
        """Remember why something failed."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(line)


class Observer(Protocol):
    """Is told how a migration goes on."""

    def phase(self, name: str, done: int) -> None:
        """Hear how many objects were counted or deleted in a phase whose end is not known."""
        ...

    def progress(self, done: Amount, total: Amount) -> None:
        """Hear how much was copied, or found to be there."""
        ...

    def would(self, action: str, path: str) -> None:
        """Hear what a dry run leaves undone: ``copy`` or ``delete``."""
        ...


class Silent:
    """An observer that does nothing."""

    def phase(self, name: str, done: int) -> None:
        """See ``Observer.phase``."""

    def progress(self, done: Amount, total: Amount) -> None:
        """See ``Observer.progress``."""

    def would(self, action: str, path: str) -> None:
        """See ``Observer.would``."""
