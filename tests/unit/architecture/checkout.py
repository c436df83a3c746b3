"""The checkout as the tests of its structure see it."""

from __future__ import annotations

import ast
import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "src"
PACKAGE = SOURCE / "matou"


@functools.cache
def files() -> tuple[Path, ...]:
    """Return every file of the project, new ones included, whatever else lies in the directory."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return tuple(ROOT / name for name in sorted(listed.split("\0")) if name and (ROOT / name).is_file())


def python_files(below: Path = ROOT) -> list[Path]:
    """Return the Python files below a directory."""
    return [path for path in files() if path.suffix == ".py" and path.is_relative_to(below)]


def markdown_files() -> list[Path]:
    """Return the documents."""
    return [path for path in files() if path.suffix == ".md"]


def texts() -> list[tuple[Path, str]]:
    """Return every file that is text."""
    found = []
    for path in files():
        try:
            found.append((path, path.read_text("utf-8")))
        except UnicodeDecodeError:
            continue
    return found


@functools.cache
def syntax(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def module_name(path: Path) -> str:
    """Return the dotted name of a file below ``src``."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def relative(path: Path) -> str:
    """Return a path as it is written in messages."""
    return path.relative_to(ROOT).as_posix()
