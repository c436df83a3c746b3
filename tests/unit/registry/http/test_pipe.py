"""A pipe goes at the pace of its reader, and notices when there is none any more."""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvloop

from matou.registry.http.pipe import CAPACITY, Pipe, ReaderGone, ReaderStalled

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

LONG = 60.0
SHORT = 0.05
PIECE = secrets.token_bytes(1 << 20)


@pytest.fixture(params=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """Either event loop: workers use the second. No descriptor may be left at the end."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = (
        uvloop.new_event_loop if request.param == "uvloop" else None
    )
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(at_once())
        before = descriptors()
        yield runner
        assert descriptors() == before


def descriptors() -> set[str]:
    """Return the pipes that this process has open."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:  # the one of the iteration itself
            continue
        if target.startswith("pipe:"):
            found.add(target)
    return found


async def never() -> None:
    await asyncio.Event().wait()


async def at_once() -> None:
    pass


class Reader:
    """Opens the pipe as the server does, and reads when it is told to."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.read = bytearray()

    def take(self, size: int) -> None:
        while size and (piece := os.read(self._file, size)):
            self.read += piece
            size -= len(piece)

    def take_all(self) -> None:
        while piece := os.read(self._file, 1 << 17):
            self.read += piece

    def close(self) -> None:
        os.close(self._file)


def test_everything_arrives_in_order(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(LONG, LONG)
        reader = Reader(pipe.path)
        thread = threading.Thread(target=reader.take_all)
        thread.start()
        for _ in range(5):
            await pipe.write(PIECE, never)
        assert pipe.written == 5 * len(PIECE)
        pipe.close()
        await asyncio.to_thread(thread.join)
        assert reader.read == PIECE * 5
        reader.close()

    runner.run(main())


def test_it_waits_for_its_reader(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(LONG, LONG)
        reader = Reader(pipe.path)
        writing = asyncio.create_task(pipe.write(PIECE, never))
        taken = 0
        while not writing.done():
            assert pipe.written - taken <= CAPACITY
            await asyncio.to_thread(reader.take, 1 << 16)
            taken += 1 << 16
            await asyncio.sleep(0)
        assert taken >= len(PIECE) - CAPACITY
        pipe.close()
        reader.take_all()
        assert reader.read == PIECE
        reader.close()

    runner.run(main())


def test_a_reader_that_leaves(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(LONG, LONG)
        reader = Reader(pipe.path)
        writing = asyncio.create_task(pipe.write(PIECE * 3, never))
        await asyncio.to_thread(reader.take, len(PIECE))
        reader.close()
        with pytest.raises(ReaderGone):
            await writing
        pipe.close()

    runner.run(main())


def test_a_reader_that_leaves_between_two_pieces(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(LONG, LONG)
        reader = Reader(pipe.path)
        writing = asyncio.create_task(pipe.write(PIECE, never))
        await asyncio.to_thread(reader.take, len(PIECE))
        await writing
        reader.close()
        with pytest.raises(ReaderGone):
            await pipe.write(b"x", never)
        pipe.close()

    runner.run(main())


def test_a_reader_that_stops(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(SHORT, LONG)
        reader = Reader(pipe.path)
        writing = asyncio.create_task(pipe.write(PIECE, never))
        await asyncio.to_thread(reader.take, 1 << 18)
        with pytest.raises(ReaderStalled):
            await writing
        pipe.close()
        reader.close()

    runner.run(main())


def test_a_reader_that_never_comes(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(LONG, SHORT)
        with pytest.raises(ReaderStalled):
            await pipe.write(PIECE, never)
        pipe.close()

    runner.run(main())


def test_a_client_that_left_before_the_reader_came(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(LONG, LONG)
        with pytest.raises(ReaderGone):
            await pipe.write(PIECE, at_once)
        pipe.close()

    runner.run(main())


def test_what_the_reader_has_still_to_open_stays(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(LONG, LONG)
        writing = asyncio.create_task(pipe.write(PIECE, never))
        while not pipe.written:  # noqa: ASYNC110 -- an event would be one more thing that the code must set
            await asyncio.sleep(0)
        reader = Reader(pipe.path)
        await asyncio.to_thread(reader.take, len(PIECE))
        await writing
        assert reader.read == PIECE
        pipe.close()
        reader.close()

    runner.run(main())


def test_a_short_body_waits_for_its_reader(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(LONG, LONG)
        await pipe.write(b"short", never)
        waiting = asyncio.create_task(pipe.opened())
        await asyncio.sleep(SHORT)
        assert not waiting.done()
        reader = Reader(pipe.path)
        reader.take(1)
        await waiting
        pipe.close()
        reader.close()

    runner.run(main())


def test_nobody_waits_for_ever_for_the_reader_of_a_short_body(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(LONG, SHORT)
        await pipe.opened()
        await pipe.write(b"short", never)
        await pipe.opened()
        pipe.close()

    runner.run(main())


def test_it_can_be_cancelled(runner: asyncio.Runner) -> None:
    async def cancelled(writing: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(writing)
        await asyncio.sleep(SHORT)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def main() -> None:
        pipe = Pipe(LONG, LONG)
        await cancelled(pipe.write(PIECE, never))
        reader = Reader(pipe.path)
        await asyncio.to_thread(reader.take, 1)
        thread = threading.Thread(target=reader.take, args=(CAPACITY,))
        thread.start()
        await pipe.write(PIECE[: CAPACITY // 2], never)
        await asyncio.to_thread(thread.join)
        await cancelled(pipe.write(PIECE, never))
        pipe.close()
        pipe.close()
        reader.close()

    runner.run(main())
