"""How modules of the project look."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.unit.architecture.checkout import PACKAGE, ROOT, python_files, relative, syntax

if TYPE_CHECKING:
    from pathlib import Path

LONGEST = 400  # lines of a module: one concept
LONGEST_TESTS = 500  # lines of a module of tests, whose tables are long
VAGUE = {"utils", "util", "helpers", "helper", "manager", "misc", "common", "tools", "shared"}


def test_no_module_is_too_long() -> None:
    too_long = []
    for path in python_files():
        limit = LONGEST_TESTS if path.is_relative_to(ROOT / "tests") else LONGEST
        lines = len(path.read_text("utf-8").splitlines())
        if lines > limit:
            too_long.append(f"{relative(path)}: {lines} lines; at most {limit}")
    assert too_long == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = [
        relative(path)
        for path in python_files()
        if VAGUE & {part.removesuffix(".py") for part in path.relative_to(ROOT).parts}
    ]
    assert vague == []


def test_every_package_says_what_it_is() -> None:
    silent = [
        relative(path)
        for path in python_files(PACKAGE)
        if path.name == "__init__.py" and not ast.get_docstring(syntax(path))
    ]
    assert silent == []


def test_no_function_sets_a_variable_of_its_module() -> None:
    found = [
        f"{relative(path)}:{node.lineno}"
        for path in python_files(PACKAGE)
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.Global)
    ]
    assert found == []


def test_a_leaked_file_handle_fails_a_test(tmp_path: Path) -> None:
    case = tmp_path / "test_leak.py"
    case.write_text("def test_leak():\n    open(__file__)\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    command += ["-c", str(ROOT / "pyproject.toml"), str(case)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "ResourceWarning: unclosed file" in done.stdout


def test_no_test_is_skipped() -> None:
    """What a test needs is installed by ``.ci/packages``; without it the test has to fail."""
    excuses = {"skip", "skipif", "importorskip", "xfail"}
    found = [
        f"{relative(path)}:{node.lineno}: {node.attr}"
        for path in python_files(ROOT / "tests")
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.Attribute) and node.attr in excuses
    ]
    assert found == []
