"""The drivers that need no server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers.filesystem import FilesystemDriver
from matou.registry.drivers.inmemory import InMemoryDriver
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.observe.figures import Layout
from matou.registry.observe.measured_driver import MeasuredDriver
from matou.registry.observe.storage_figures import StorageFigures
from tests.drivers.conformance import DriverConformance
from tests.drivers.memory_store import MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.drivers.conformance import Opening


class TestFilesystem(DriverConformance):
    @pytest.fixture
    def opening(self, tmp_path: Path) -> Opening:
        return lambda: FilesystemDriver(tmp_path)


class TestMeasured(DriverConformance):
    @pytest.fixture
    def opening(self, tmp_path: Path) -> Opening:
        return lambda: MeasuredDriver(FilesystemDriver(tmp_path), StorageFigures([0] * Layout.size))


class TestInMemory(DriverConformance):
    @pytest.fixture
    def opening(self) -> Opening:
        return InMemoryDriver


class TestObjects(DriverConformance):
    @pytest.fixture
    def opening(self) -> Opening:
        return lambda: ObjectDriver(MemoryStore(7))


class TestKeptSegments(DriverConformance):
    @pytest.fixture
    def opening(self) -> Opening:
        return lambda: ObjectDriver(MemoryStore(1 << 20, keeps_segments=True))
