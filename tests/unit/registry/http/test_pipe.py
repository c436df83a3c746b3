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

from matou.registry.drivers.unread import Unread
from matou.registry.http.outlet import ClientGone, ClientStalled
from matou.registry.http.pipe import CAPACITY, Pipe
from tests.servers.sending import storage_sending

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


class Server:
    """The protocol of a request whose client is there, or is not."""

    def __init__(self, *, is_gone: bool = False) -> None:
        self._is_gone = is_gone

    async def client_disconnect(self) -> None:
        if not self._is_gone:
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
        pipe = Pipe(Server(), LONG, LONG)
        reader = Reader(pipe.path)
        thread = threading.Thread(target=reader.take_all)
        thread.start()
        for _ in range(5):
            await pipe.write(PIECE)
        assert pipe.written == 5 * len(PIECE)
        pipe.close()
        await asyncio.to_thread(thread.join)
        assert reader.read == PIECE * 5
        reader.close()

    runner.run(main())


def test_it_waits_for_its_reader(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(Server(), LONG, LONG)
        reader = Reader(pipe.path)
        writing = asyncio.create_task(pipe.write(PIECE))
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
        pipe = Pipe(Server(), LONG, LONG)
        reader = Reader(pipe.path)
        writing = asyncio.create_task(pipe.write(PIECE * 3))
        await asyncio.to_thread(reader.take, len(PIECE))
        reader.close()
        with pytest.raises(ClientGone):
            await writing
        pipe.close()

    runner.run(main())


def test_a_reader_that_leaves_between_two_pieces(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(Server(), LONG, LONG)
        reader = Reader(pipe.path)
        writing = asyncio.create_task(pipe.write(PIECE))
        await asyncio.to_thread(reader.take, len(PIECE))
        await writing
        reader.close()
        with pytest.raises(ClientGone):
            await pipe.write(b"x")
        pipe.close()

    runner.run(main())


def test_a_reader_that_stops(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(Server(), SHORT, LONG)
        reader = Reader(pipe.path)
        writing = asyncio.create_task(pipe.write(PIECE))
        await asyncio.to_thread(reader.take, 1 << 18)
        with pytest.raises(ClientStalled):
            await writing
        pipe.close()
        reader.close()

    runner.run(main())


def test_a_reader_that_never_comes(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(Server(), LONG, SHORT)
        with pytest.raises(ClientStalled):
            await pipe.write(PIECE)
        pipe.close()

    runner.run(main())


def test_a_client_that_left_before_the_reader_came(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(Server(is_gone=True), LONG, LONG)
        with pytest.raises(ClientGone):
            await pipe.write(PIECE)
        pipe.close()

    runner.run(main())


def test_what_the_reader_has_still_to_open_stays(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(Server(), LONG, LONG)
        writing = asyncio.create_task(pipe.write(PIECE))
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
        pipe = Pipe(Server(), LONG, LONG)
        await pipe.write(b"short")
        waiting = asyncio.create_task(pipe.end())
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
        await Pipe(Server(), LONG, LONG).end()  # nothing was written
        pipe = Pipe(Server(), LONG, SHORT)
        await pipe.write(b"short")
        await pipe.end()

    runner.run(main())


def test_it_can_be_cancelled(runner: asyncio.Runner) -> None:
    async def cancelled(writing: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(writing)
        await asyncio.sleep(SHORT)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def main() -> None:
        pipe = Pipe(Server(), LONG, LONG)
        await cancelled(pipe.write(PIECE))
        reader = Reader(pipe.path)
        await asyncio.to_thread(reader.take, 1)
        thread = threading.Thread(target=reader.take, args=(CAPACITY,))
        thread.start()
        await pipe.write(PIECE[: CAPACITY // 2])
        await asyncio.to_thread(thread.join)
        await cancelled(pipe.write(PIECE))
        pipe.close()
        pipe.close()
        reader.close()

    runner.run(main())


def test_what_is_at_a_socket_is_moved(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(Server(), LONG, LONG)
        reader = Reader(pipe.path)
        thread = threading.Thread(target=reader.take_all)
        thread.start()
        async with storage_sending(PIECE * 3) as connection:
            await pipe.write(b"begin")
            await pipe.move(Unread(connection, 3 * len(PIECE), LONG))
        assert pipe.written == 5 + 3 * len(PIECE)
        await pipe.end()
        await asyncio.to_thread(thread.join)
        assert reader.read == b"begin" + PIECE * 3
        reader.close()

    runner.run(main())


def test_what_is_at_a_socket_waits_for_the_reader(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(Server(), SHORT, SHORT)
        reader = Reader(pipe.path)
        async with storage_sending(PIECE * 8) as connection:
            with pytest.raises(ClientStalled):
                await pipe.move(Unread(connection, 8 * len(PIECE), LONG))
            reader.close()
            pipe.close()

    runner.run(main())


def test_a_reader_that_leaves_what_is_at_a_socket(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(Server(), LONG, LONG)
        reader = Reader(pipe.path)
        async with storage_sending(PIECE * 8) as connection:
            moving = asyncio.create_task(pipe.move(Unread(connection, 8 * len(PIECE), LONG)))
            await asyncio.to_thread(reader.take, len(PIECE))
            reader.close()
            with pytest.raises(ClientGone):
                await moving
            pipe.close()

    runner.run(main())


def test_a_storage_that_ends_early(runner: asyncio.Runner) -> None:
    async def main() -> None:
        pipe = Pipe(Server(), LONG, LONG)
        reader = Reader(pipe.path)
        async with storage_sending(b"few") as connection:
            unread = Unread(connection, 5, LONG)
            await pipe.move(unread)
            assert (unread.moved, unread.left, pipe.written) == (3, 0, 3)
        reader.close()
        pipe.close()

    runner.run(main())
