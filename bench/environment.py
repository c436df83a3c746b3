"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.servers import Candidate

_SECONDS = 20


def describe(candidates: Sequence[Candidate], storage: Path, server_core: int, client_core: int) -> dict[str, object]:
    """Return the machine, the versions and the placement, as JSON values."""
    return {
        "cpu": cpu_model(Path("/proc/cpuinfo").read_text()),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "matou": _package_version("matou"),
        "commit": first_line(["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]),
        "wrk": first_line(["wrk", "-v"]) if shutil.which("wrk") else "missing",
        "storage": filesystem_of(storage, Path("/proc/self/mounts").read_text()),
        "server_core": server_core,
        "client_core": client_core,
        "servers": {
            candidate.name: {"command": Path(shlex.split(candidate.command)[0]).name, "version": _version(candidate)}
            for candidate in candidates
        },
    }


def cpu_model(cpuinfo: str) -> str:
    """Return the first ``model name`` of /proc/cpuinfo."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def filesystem_of(path: Path, mounts: str) -> str:
    """Return the type of the file system that holds ``path``, given the text of /proc/self/mounts."""
    resolved = path.resolve()
    best, kind = -1, "unknown"
    for line in mounts.splitlines():
        _, mount_point, file_system, *_ = line.split()
        point = Path(mount_point.encode().decode("unicode_escape"))
        if resolved.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), file_system
    return kind


def _version(candidate: Candidate) -> str:
    return first_line([shlex.split(candidate.command)[0], "--version"])


def _package_version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def first_line(command: list[str]) -> str:
    """Return the first line that a command prints, or "unknown"."""
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    lines = (finished.stdout or finished.stderr).strip().splitlines()
    return lines[0].strip() if lines else "unknown"
