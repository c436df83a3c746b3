"""Processor time and peak memory of a tree of processes, from Linux' ``/proc`` (proc(5))."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_STATE, _PARENT, _USER, _SYSTEM, _CHILD_USER, _CHILD_SYSTEM = 0, 1, 11, 12, 13, 14


class ProcessStat(NamedTuple):
    """What the benchmarks need of ``/proc/PID/stat``."""

    pid: int
    name: str
    parent: int
    seconds: float  # processor time of the process and of the children that it has waited for


class ProcessMemory(NamedTuple):
    """The peak of one process."""

    pid: int
    name: str
    peak_mib: float


def parse_stat(text: str) -> ProcessStat:
    """Read one line of ``/proc/PID/stat``; the name in it may hold blanks and brackets."""
    opening, closing = text.index("("), text.rindex(")")
    fields = text[closing + 1 :].split()
    ticks = sum(int(fields[position]) for position in (_USER, _SYSTEM, _CHILD_USER, _CHILD_SYSTEM))
    return ProcessStat(
        pid=int(text[:opening]),
        name=text[opening + 1 : closing],
        parent=int(fields[_PARENT]),
        seconds=ticks / TICKS_PER_SECOND,
    )


def parse_peak_mib(status: str) -> float:
    """Read ``VmHWM`` of ``/proc/PID/status`` in MiB; 0.0 for a process without memory (a zombie)."""
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM":
            number, unit = value.split()
            if unit != "kB":
                raise ValueError(f"VmHWM in {unit!r}; expected kB")
            return int(number) / 1024
    return 0.0


def select_tree(processes: list[ProcessStat], root: int) -> list[ProcessStat]:
    """Return the process ``root`` and all its descendants, parents first; empty when ``root`` is not there."""
    children: dict[int, list[ProcessStat]] = {}
    for process in processes:
        children.setdefault(process.parent, []).append(process)
    found = [process for process in processes if process.pid == root]
    for process in found:  # grows while it is read: breadth first
        found.extend(children.get(process.pid, ()))
    return found


def process_tree(root: int) -> list[ProcessStat]:
    """Return the running process ``root`` and its descendants."""
    processes = []
    for directory in PROC.iterdir():
        if directory.name.isdecimal():
            with contextlib.suppress(OSError):  # it ended meanwhile
                processes.append(parse_stat((directory / "stat").read_text()))
    return select_tree(processes, root)


def cpu_seconds(root: int) -> float:
    """Return the processor seconds that the tree has used so far."""
    return sum(process.seconds for process in process_tree(root))


def peak_memory(root: int) -> list[ProcessMemory]:
    """Return the peak resident memory of each process of the tree."""
    peaks = []
    for process in process_tree(root):
        with contextlib.suppress(OSError):
            status = (PROC / str(process.pid) / "status").read_text()
            peaks.append(ProcessMemory(process.pid, process.name, parse_peak_mib(status)))
    return peaks


def reset_peak_memory(root: int) -> None:
    """Let the peaks begin again at the memory now in use.

    Raises:
        PermissionError: the process belongs to another user.
    """
    for process in process_tree(root):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            (PROC / str(process.pid) / "clear_refs").write_text("5")
