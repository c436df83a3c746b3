"""What an answer of a storage brings is passed on whole and in order, wherever it is when it is asked for."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
import uvloop

from matou.registry.drivers.relaying import WORTHWHILE, relayed
from matou.registry.drivers.streams import closing
from matou.registry.drivers.unread import Unread
from tests.drivers.relaying import Relayed, relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]

CONTENT = secrets.token_bytes(5_000_000)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
BUFFERS = [1 << 16, 1 << 18, 1 << 22]  # bytes that the HTTP client reads ahead


@pytest.fixture(params=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """Either event loop. No descriptor may be left at the end."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if request.param == "uvloop" else None) as runner:
        runner.run(once())  # uvloop opens a descriptor of its own with the first server
        before = len(list(Path("/proc/self/fd").iterdir()))
        yield runner
        runner.run(asyncio.sleep(0))
        assert len(list(Path("/proc/self/fd").iterdir())) <= before


@asynccontextmanager
async def answered(answer: Answer, buffer: int = 1 << 18, pause: float = 0) -> AsyncIterator[aiohttp.ClientResponse]:
    """Yield the answer of a storage that sends it like this.

    Args:
        answer: sends it.
        buffer: bytes that the client reads ahead.
        pause: seconds before it is yielded.
    """

    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            await answer(writer)
            await reader.read()
        except ConnectionError:  # the client has enough
            pass
        finally:
            writer.close()
            ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        async with (
            aiohttp.ClientSession(read_bufsize=buffer, auto_decompress=False) as session,
            session.get(f"http://127.0.0.1:{port}/") as found,
        ):
            await asyncio.sleep(pause)
            yield found
        await ended.wait()


async def at_once(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD % len(CONTENT) + CONTENT)
    await writer.drain()


async def head_first(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD % len(CONTENT))
    await asyncio.sleep(0.05)
    writer.write(CONTENT)
    await writer.drain()


async def in_small_pieces(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD[:20])
    await asyncio.sleep(0.01)
    writer.write(HEAD[20:] % len(CONTENT) + CONTENT[:1])
    for start in range(1, len(CONTENT), 200_000):
        await asyncio.sleep(0.001)
        writer.write(CONTENT[start : start + 200_000])
        await writer.drain()


async def once() -> None:
    async with answered(at_once) as found:
        await found.read()


@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("pause", [0, 0.2])
@pytest.mark.parametrize("answer", [at_once, head_first, in_small_pieces])
def test_all_of_it(runner: asyncio.Runner, answer: Answer, pause: float, buffer: int) -> None:
    async def main() -> None:
        async with answered(answer, buffer, pause) as found:
            through = await relay(relayed(found))
            assert through.content == CONTENT
            # What the client has read ahead it has; it may be all.
            assert through.moved or buffer > 1 << 18
            assert found.closed

    runner.run(main())


async def chunked(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(CONTENT), CONTENT))
    await writer.drain()


async def small(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD % (WORTHWHILE - 1))
    await asyncio.sleep(0.05)
    writer.write(CONTENT[: WORTHWHILE - 1])


async def encoded(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: x\r\nContent-Length: %d\r\n\r\n" % len(CONTENT) + CONTENT)
    await writer.drain()


@pytest.mark.parametrize(
    ("answer", "size"), [(chunked, len(CONTENT)), (small, WORTHWHILE - 1), (encoded, len(CONTENT))]
)
def test_what_is_read_instead(runner: asyncio.Runner, answer: Answer, size: int) -> None:
    async def main() -> None:
        async with answered(answer) as found:
            through = await relay(relayed(found))
            assert (through.content, through.moved) == (CONTENT[:size], 0)

    runner.run(main())


@pytest.mark.parametrize("size", [0, 10, 2_000_000])
def test_an_answer_that_ends_early(runner: asyncio.Runner, size: int) -> None:
    async def cut(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD % len(CONTENT) + CONTENT[:size])
        await writer.drain()
        writer.close()

    async def main() -> None:
        async with answered(cut) as found:
            through = Relayed()
            with pytest.raises(aiohttp.ClientPayloadError):
                await through.take(relayed(found))
            assert CONTENT[:size].startswith(through.content)

    runner.run(main())


def test_an_answer_that_came_before_by_the_same_connection(runner: asyncio.Runner) -> None:
    """It may be read late: the connection is given to the next request when it has come in."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await small(writer)
        await reader.readuntil(b"\r\n\r\n")
        await in_small_pieces(writer)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        connector = aiohttp.TCPConnector(limit=1)
        async with server, aiohttp.ClientSession(connector=connector, read_bufsize=1 << 20) as session:
            url = f"http://127.0.0.1:{port}/"
            first = await session.get(url)
            second = await session.get(url)  # once the first has come in
            assert second.connection is not None
            through = Relayed()
            taking = asyncio.create_task(through.take(relayed(second)))
            while not through.content:  # noqa: ASYNC110 -- that is what is waited for
                await asyncio.sleep(0)
            assert await first.read() == CONTENT[: WORTHWHILE - 1]
            await taking
            assert through.content == CONTENT
            assert through.moved

    runner.run(main())


def test_whoever_leaves_in_the_middle(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with answered(at_once) as found, closing(relayed(found)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Unread):
                    break

    runner.run(main())
