from __future__ import annotations

import asyncio

import pytest

from matou.registry.drivers.factory import open_driver
from matou.registry.drivers.gcs.opening import services
from matou.registry.drivers.gcs.store import GcsStore
from matou.registry.drivers.object_driver import ObjectDriver
from tests.unit.config.reading import parse


@pytest.fixture(autouse=True)
def no_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)


def opened(options: str) -> GcsStore:
    driver = open_driver(parse(f"version: 0.1\nstorage:\n  gcs: {{bucket: b, {options}}}\n"))
    assert isinstance(driver, ObjectDriver)
    assert isinstance(driver.store, GcsStore)
    assert driver.name == "gcs"
    asyncio.run(driver.close())
    return driver.store


@pytest.mark.parametrize(
    ("variables", "storage", "is_emulator"),
    [
        ({}, "https://storage.googleapis.com", False),
        ({"STORAGE_EMULATOR_HOST": ""}, "https://storage.googleapis.com", False),
        ({"STORAGE_EMULATOR_HOST": "localhost:9023"}, "http://localhost:9023", True),
        ({"STORAGE_EMULATOR_HOST": "http://localhost:9023/"}, "http://localhost:9023", True),
        ({"STORAGE_EMULATOR_HOST": "https://emulator"}, "https://emulator", True),
    ],
)
def test_where_the_storage_is(variables: dict[str, str], storage: str, is_emulator: bool) -> None:
    found = services("googleapis.com", variables)
    assert (found.storage, found.is_emulator) == (storage, is_emulator)
    assert found.iam == "https://iamcredentials.googleapis.com"


def test_a_cloud_of_its_own_has_its_own_names() -> None:
    assert services("example.goog", {})[:2] == ("https://storage.example.goog", "https://iamcredentials.example.goog")


@pytest.mark.parametrize(
    ("root", "name"),
    [
        ("''", "docker/registry/v2/x"),
        ("/", "docker/registry/v2/x"),
        ("/a/b/", "a/b/docker/registry/v2/x"),
        ("a", "a/docker/registry/v2/x"),
    ],
)
def test_names_are_distributions(root: str, name: str) -> None:
    store = opened(f"rootdirectory: {root}")
    quoted = name.replace("/", "%2F")
    assert store.object_url("docker/registry/v2/x") == f"https://storage.googleapis.com/storage/v1/b/b/o/{quoted}"


def test_chunksize_is_the_size_of_segments() -> None:
    assert opened("chunksize: 524288").segments.size == 524288
    assert opened("debug_log: true").segments.size == 5 << 20


def test_an_emulator_gets_no_token_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "localhost:1")
    store = opened("useragent: me")
    assert asyncio.run(store.api.tokens.authorization()) == ""
    assert asyncio.run(store.url("a", "GET", 60)) is None
