"""What a stream holds is given back at once when the stream is given up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.drivers.requests import RequestLimit, Requests, UnobservedRequests
from matou.registry.drivers.streams import closing
from matou.registry.observe.figures import Layout
from matou.registry.observe.measured_driver import MeasuredDriver
from matou.registry.observe.storage_figures import StorageFigures
from tests.drivers.memory_store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Connections:
    """Counts what is open."""

    def __init__(self) -> None:
        self.open = 0
        self.opened = 0

    async def read(self, _start: int, length: int) -> AsyncIterator[bytes]:
        self.open += 1
        self.opened += 1
        try:
            for _ in range(length):
                yield b"x"
        finally:
            self.open -= 1


class Store(MemoryStore):
    """A store that reads over connections, as those of the vendors do."""

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self._connections = connections
        self._sending = Requests(3, RequestLimit(0), UnobservedRequests())

    def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        assert key
        return self._sending.stream(self._connections.read, start, length)


@pytest.mark.parametrize("taken", [1, 5, 10])
def test_through_all_layers(taken: int) -> None:
    async def main() -> None:
        connections = Connections()
        driver = MeasuredDriver(ObjectDriver(Store(connections)), StorageFigures([0] * Layout.size))
        async with closing(driver.read("path", 0, 10)) as pieces:
            for _ in range(taken):
                assert await anext(pieces) == b"x"
            assert connections.open == 1
        assert (connections.open, connections.opened) == (0, 1)

    asyncio.run(main())


def test_a_stream_that_was_never_begun() -> None:
    async def main() -> None:
        connections = Connections()
        async with closing(ObjectDriver(Store(connections)).read("path", 0, 10)):
            pass
        assert connections.opened == 0

    asyncio.run(main())


def test_an_error_within_closes_too() -> None:
    connections = Connections()

    async def fail() -> None:
        async with closing(connections.read(0, 10)) as pieces:
            await anext(pieces)
            raise RuntimeError("of the test")

    async def main() -> None:
        with pytest.raises(RuntimeError, match="of the test"):
            await fail()
        assert connections.open == 0

    asyncio.run(main())


def test_what_cannot_be_closed_is_left_alone() -> None:
    class Endless:
        def __aiter__(self) -> Endless:
            return self

        async def __anext__(self) -> bytes:
            return b"x"

    async def main() -> None:
        async with closing(Endless()) as pieces:
            assert await anext(aiter(pieces)) == b"x"

    asyncio.run(main())
