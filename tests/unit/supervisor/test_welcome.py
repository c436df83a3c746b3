"""What ``matou serve`` tells when everything answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matou.cli.language import use_language
from matou.config.installation import Installation
from matou.supervisor.readiness import welcome

if TYPE_CHECKING:
    from pathlib import Path


def installation(home: Path, **variables: str) -> Installation:
    return Installation.from_environ({"MATOU_HOME": str(home)} | variables)


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "C")
    use_language()


def test_everything_that_is_needed_to_begin(tmp_path: Path) -> None:
    text = welcome(installation(tmp_path), "r4ndom")
    for expected in (
        "Matou is running.",
        "http://127.0.0.1:8080/",
        "http://127.0.0.1:5000/v2/",
        f"r4ndom  (shown only now; also in {tmp_path / 'initial_root_password'})",
        "docker login -u root 127.0.0.1:5000",
        "podman login --tls-verify=false -u root 127.0.0.1:5000",
        str(tmp_path),
    ):
        assert expected in text


def test_where_the_password_is(tmp_path: Path) -> None:
    assert "as set at the first start" in welcome(installation(tmp_path), None)
    file = tmp_path / "initial_root_password"
    file.write_text("secret\n")
    text = welcome(installation(tmp_path), None)
    assert f"see {file}" in text
    assert "secret" not in text


def test_with_tls_no_client_is_told_to_do_without(tmp_path: Path) -> None:
    text = welcome(installation(tmp_path, MATOU_REGISTRY_URL="https://registry.example.com"), None)
    assert "podman login -u root registry.example.com" in text
    assert "tls-verify" not in text


@pytest.mark.parametrize(
    ("variables", "is_told"),
    [
        ({}, False),
        ({"MATOU_PORTAL_ADDR": "0.0.0.0:8080"}, False),
        ({"MATOU_REGISTRY_ADDR": "0.0.0.0:5000"}, True),
        ({"MATOU_REGISTRY_ADDR": "[::]:5000", "MATOU_PORTAL_ADDR": "[::]:8080"}, True),
        ({"MATOU_REGISTRY_ADDR": "10.1.2.3:5000", "MATOU_PORTAL_ADDR": "0.0.0.0:8080"}, True),
        ({"MATOU_REGISTRY_ADDR": "10.1.2.3:5000", "MATOU_PORTAL_ADDR": "10.1.2.3:8080"}, False),
        ({"MATOU_REGISTRY_URL": "https://registry.example.com"}, True),
        ({"MATOU_REGISTRY_URL": "https://registry.example.com", "MATOU_PORTAL_URL": "http://localhost:8080"}, True),
        ({"MATOU_REGISTRY_URL": "https://registry.example.com", "MATOU_PORTAL_URL": "https://example.com"}, False),
    ],
)
def test_when_other_machines_cannot_log_in(tmp_path: Path, variables: dict[str, str], is_told: bool) -> None:
    text = welcome(installation(tmp_path, **variables), None)
    assert ("Nobody can log in from other machines" in text) is is_told
    assert ("Set MATOU_PORTAL_URL" in text) is is_told


def test_in_chinese(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "zh_CN")
    text = welcome(installation(tmp_path), "r4ndom")
    for expected in ("Matou 正在运行", "r4ndom", "仅显示这一次", str(tmp_path / "initial_root_password")):
        assert expected in text
    assert "docker login -u root 127.0.0.1:5000" in text
