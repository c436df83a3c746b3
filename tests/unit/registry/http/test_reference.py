"""The reference pages say all that the tables of routes and errors have, and the source agrees with them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from matou.registry.errors import ERROR_CODES
from matou.registry.http.operations import OPERATIONS
from matou.registry.http.reference import PAGES, main
from matou.registry.http.routes import ROUTES

ROOT = Path(__file__).parents[4]
REFERENCE = ROOT / "docs" / "reference"
SOURCES = sorted((ROOT / "src" / "matou" / "registry").rglob("*.py"))


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_up_to_date(name: str) -> None:
    made = "run: python -m matou.registry.http.reference docs/reference"
    assert (REFERENCE / name).read_text("utf-8") == PAGES[name](), made


def test_the_command_writes_the_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()} == {
        name: page() for name, page in PAGES.items()
    }
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_every_operation_is_described() -> None:
    expected = {(route.name, method) for route in ROUTES for method in route.methods if method != "HEAD"}
    assert set(OPERATIONS) == expected
    page = PAGES["endpoints.md"]()
    for route in ROUTES:
        section = page[page.index(f"\n\n`{route.template}`\n") :].partition("\n## ")[0]
        for method in route.methods:
            assert re.search(rf"^### .*\b{method}\b.*: ", section, re.MULTILINE), (route, method)


def test_every_error_is_described() -> None:
    page = PAGES["errors.md"]()
    for code, row in ERROR_CODES.items():
        assert re.search(rf"^## {code}\n\n\*\*{row.status}\*\* ", page, re.MULTILINE)
        assert row.meaning
        assert row.remedy


def raised() -> set[tuple[str, int | None]]:
    """Return the codes that the source raises, each with the status that it gives beside the table's."""
    found: set[tuple[str, int | None]] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "RegistryError":
                code = node.args[0]
                assert isinstance(code, ast.Constant), path
                given = [keyword.value for keyword in node.keywords if keyword.arg == "status"]
                status = given[0].value if given and isinstance(given[0], ast.Constant) else None
                assert isinstance(code.value, str)
                assert status is None or isinstance(status, int)
                found.add((code.value, status))
    return found


def test_every_code_is_raised_or_said_to_come_from_elsewhere() -> None:
    assert set(ERROR_CODES) - {code for code, _ in raised()} == {"DENIED"}


def test_every_other_status_is_in_the_table() -> None:
    for code, status in raised():
        row = ERROR_CODES[code]
        assert status in {None, row.status, *(further for further, _ in row.further)}, code
    given = {(code, status) for code, status in raised() if status is not None}
    assert {(code, status) for code, row in ERROR_CODES.items() for status, _ in row.further} <= given


def test_further_statuses_of_operations_are_those_of_their_errors() -> None:
    for key, operation in OPERATIONS.items():
        possible = {status for code in operation.errors for status, _ in ERROR_CODES[code].further}
        assert set(operation.further) <= possible, key
