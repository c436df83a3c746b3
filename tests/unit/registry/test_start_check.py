"""A storage that cannot be used keeps a registry from starting; one that fails in passing is waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from matou.config.distribution import parse_configuration
from matou.registry import start_check
from matou.registry.drivers.base import StorageError, StorageFull, Transient
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.files import RegistryFiles
from matou.registry.start_check import check_storage
from tests.drivers.memory_store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matou.config.distribution import Configuration

CONFIGURATION = b"{version: 0.1, storage: {filesystem: {rootdirectory: %s}}, http: {addr: ':1'}}"


class Failing(MemoryStore):
    """A store whose writes fail, one after the other."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.failures = list(failures)
        self.closed = 0

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        await super().put(key, chunks)

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that checks a store."""
    configuration: Configuration = parse_configuration(CONFIGURATION % str(tmp_path).encode(), "config.yml", {})
    monkeypatch.setattr(start_check, "PAUSE", 0.001)

    def check(store: MemoryStore, wait: float) -> None:
        monkeypatch.setattr(start_check, "open_driver", lambda _configuration, _surroundings: ObjectDriver(store))
        check_storage(configuration, RegistryFiles(tmp_path), wait=wait)

    return check


def test_a_storage_that_refuses_is_told_at_once(checked: Any) -> None:
    store = Failing(StorageError("no right to write"), StorageError("again"))
    with pytest.raises(StorageError, match="no right to write"):
        checked(store, wait=60)
    assert store.closed == 1


def test_a_storage_that_fails_in_passing_is_waited_for(checked: Any, caplog: pytest.LogCaptureFixture) -> None:
    store = Failing(*(Transient("not yet") for _ in range(5)))
    checked(store, wait=60)
    assert store.closed == 6
    assert caplog.text.count("waiting 60 s for the storage: not yet") == 1
    assert store.objects == {}


def test_a_storage_that_does_not_come_is_told(checked: Any) -> None:
    with pytest.raises(Transient, match="not yet"):
        checked(Failing(*(Transient("not yet") for _ in range(1000))), wait=0.01)


def test_a_full_storage_can_still_be_pulled_from(checked: Any, caplog: pytest.LogCaptureFixture) -> None:
    checked(Failing(StorageFull("quota")), wait=60)
    assert "the storage is full: pulls work, pushes do not until there is room: quota" in caplog.text
