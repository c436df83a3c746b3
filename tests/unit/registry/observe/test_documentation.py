"""docs/observability.md names everything that there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matou.registry.observe import rendering
from matou.registry.observe.board import Board
from matou.registry.observe.checks import FileCheck, HttpCheck, StorageCheck, TcpCheck
from matou.registry.observe.debug_server import PUBLIC_VARIABLE, Endpoints
from matou.registry.observe.exposition import metrics_registry
from matou.registry.observe.figures import ACTIONS, HANDLERS
from matou.registry.observe.health import MANUAL
from matou.registry.observe.logs import LEVELS
from tests.unit.registry.observe.test_current_request import fields_of, request

if TYPE_CHECKING:
    from collections.abc import Iterable

TEXT = (Path(__file__).parents[4] / "docs" / "observability.md").read_text("utf-8")
CODE = set(re.findall(r"`([^`\n]+)`", TEXT))


def metrics() -> Iterable[tuple[str, str, tuple[str, ...]]]:
    for family in metrics_registry(Board(1), "filesystem").collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield name, family.type, tuple(getattr(family, "_labelnames", ()))


@pytest.mark.parametrize(("name", "kind", "labels"), list(metrics()), ids=str)
def test_metrics(name: str, kind: str, labels: tuple[str, ...]) -> None:
    shown = ", ".join(f"`{label}`" for label in labels)
    assert f"| `{name}` | {kind} | {shown} |".replace("|  |", "| |") in TEXT


def test_no_metric_that_does_not_exist() -> None:
    named = {name for name in CODE if re.fullmatch(r"(registry|process)_[a-z_]+", name)}
    assert named == {name for name, _, _ in metrics()}


@pytest.mark.parametrize(("method", "path"), list(Endpoints(Board(1), "/metrics", "filesystem").routes))
def test_endpoints(method: str, path: str) -> None:
    assert f"| `{method} {path}` |" in TEXT


def test_no_endpoint_that_does_not_exist() -> None:
    named = {tuple(name.split(" ")) for name in CODE if re.match(r"(GET|POST) /(debug|metrics)", name)}
    assert named == set(Endpoints(Board(1), "/metrics", "filesystem").routes)


def test_words() -> None:
    checks = (StorageCheck, FileCheck, HttpCheck, TcpCheck)
    sections = [re.search(r"``health\.(\w+)", check.__doc__ or "") for check in checks]
    assert all(section and section[1] in CODE for section in sections)
    assert set(HANDLERS) | set(ACTIONS) <= CODE
    assert set(fields_of(request(host="x", user_agent="y"))) <= CODE
    assert {"err.code", "err.message", "err.detail", "http.response.status", MANUAL, f"{PUBLIC_VARIABLE}=1"} <= CODE
    assert f"level: info         # {', '.join(LEVELS)}" in TEXT
    assert all(re.search(rf"formatter: text +# .*\b{formatter}\b", TEXT) for formatter in rendering.FORMATTERS)
