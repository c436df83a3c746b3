"""Who may import whom: docs/architecture.md, "The packages"."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.unit.architecture.checkout import PACKAGE, ROOT, module_name, python_files, relative, syntax

if TYPE_CHECKING:
    from pathlib import Path

# Package of matou -> the packages of matou that it may import, besides itself.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "system": frozenset(),
    "config": frozenset(),
    "jwt": frozenset({"system"}),
    "registry": frozenset({"config", "jwt", "system"}),
    "portal": frozenset({"config", "jwt", "system"}),
    "supervisor": frozenset({"config", "jwt", "registry", "portal", "system", "cli"}),
    "cli": frozenset({"config", "jwt", "registry", "portal", "system", "supervisor"}),
}


def imported_modules(path: Path) -> set[str]:
    """Return what a file imports anywhere in it: in functions and for type checking, too."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def named_modules(path: Path) -> set[str]:
    """Return the modules of ours that texts of a file name, as for ``importlib`` or for settings."""
    return {
        node.value.partition(":")[0]
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith("matou.")
        and " " not in node.value
    }


def packages_of(modules: set[str]) -> set[str]:
    """Return the packages of ours among modules."""
    return {module.split(".")[1] for module in modules if module.startswith("matou.")}


def test_every_package_has_its_rule() -> None:
    present = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert present == set(MAY_IMPORT)


def test_the_architecture_page_has_the_same_rules() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| `matou\.(\w+)` \| .+ \| (.+) \|$", page, re.MULTILINE)
    told = {}
    for package, others in rows:
        names = frozenset(re.findall(r"`(\w+)`", others))
        told[package] = frozenset(MAY_IMPORT) - {package} if others == "all" else names
    assert told == MAY_IMPORT


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_imports_keep_to_the_rule(package: str) -> None:
    wrong = [
        f"{relative(path)} imports matou.{other}"
        for path in python_files(PACKAGE / package)
        for other in sorted(packages_of(imported_modules(path) | named_modules(path)))
        if other != package and other not in MAY_IMPORT[package]
    ]
    assert wrong == []


def test_no_way_leads_from_one_plane_to_the_other() -> None:
    def reachable(package: str) -> set[str]:
        found, ahead = set(), [package]
        while ahead:
            for other in MAY_IMPORT[ahead.pop()]:
                if other not in found:
                    found.add(other)
                    ahead.append(other)
        return found

    assert "portal" not in reachable("registry")
    assert "registry" not in reachable("portal")


def test_the_check_sees_imports_of_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "matou" / "portal" / "example.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import matou.registry.a\n"
        "from matou import jwt\n"
        "def inside():\n    from ..config import b\n    from . import c\n    from .. import cli\n"
        "LAZY = 'matou.supervisor.run:main'\n"
    )
    monkeypatch.setattr("tests.unit.architecture.checkout.SOURCE", tmp_path)
    assert imported_modules(file) == {
        "matou.registry.a",
        "matou.jwt",
        "matou.config.b",
        "matou.portal.c",
        "matou.cli",
    }
    assert packages_of(named_modules(file)) == {"supervisor"}


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        (PACKAGE / "registry", ("django", "matou.portal")),
        (PACKAGE / "portal", ("matou.registry",)),
        (PACKAGE / "jwt", ("django", "granian", "matou.portal", "matou.registry", "matou.config")),
        (PACKAGE / "config", ("django", "granian", "matou.portal", "matou.registry")),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else "",
)
def test_importing_everything_of_a_package_loads_nothing_of_the_other(modules: Path, absent: tuple[str, ...]) -> None:
    names = [module_name(path) for path in python_files(modules) if not {"migrations", "__main__"} & {*path.parts}]
    program = (
        "import importlib, sys\n"
        f"if {modules.name == 'portal'}:\n"
        "    import django, os\n"
        "    os.environ['DJANGO_SETTINGS_MODULE'] = 'matou.portal.settings'\n"
        "    django.setup()\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        f"loaded = [name for name in {absent!r} if name in sys.modules]\n"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
