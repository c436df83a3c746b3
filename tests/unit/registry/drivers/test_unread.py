"""Bytes are moved from a socket in order, and it is told why no more of them come."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import uvloop

from matou.registry.drivers.unread import Unread
from matou.registry.http.pipe import open_pipe
from tests.drivers.relaying import relay
from tests.servers.sending import storage_sending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

CONTENT = secrets.token_bytes(5_000_000)
LONG = 60.0
SHORT = 0.05


@pytest.fixture(params=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if request.param == "uvloop" else None) as runner:
        yield runner


@contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield our end and the storage's."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as ours:
        theirs, _ = server.accept()
        ours.settimeout(0)
        with theirs:
            yield ours, theirs


async def only(unread: Unread) -> AsyncIterator[Unread]:
    yield unread


@pytest.mark.parametrize("length", [1, 70_000, len(CONTENT)])
def test_all_of_it_and_nothing_more(runner: asyncio.Runner, length: int) -> None:
    async def main() -> None:
        async with storage_sending(CONTENT) as connection:
            unread = Unread(connection, length, LONG)
            found = await relay(only(unread))
            assert found.content == CONTENT[:length]
            assert (unread.moved, unread.left, unread.failure) == (length, 0, "")

    runner.run(main())


def test_a_storage_that_closes_early(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with storage_sending(CONTENT) as connection:
            unread = Unread(connection, len(CONTENT) + 7, LONG)
            found = await relay(only(unread))
            assert found.content == CONTENT
            assert (unread.left, unread.failure) == (0, "the storage closed the connection 7 bytes early")

    runner.run(main())


def test_a_storage_that_resets_the_connection(runner: asyncio.Runner) -> None:
    async def main() -> None:
        with connected() as (ours, theirs):
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            theirs.close()
            unread = Unread(ours, 10, LONG)
            assert (await relay(only(unread))).content == b""
            assert unread.failure == "Connection reset by peer"

    runner.run(main())


def test_a_storage_that_falls_silent(runner: asyncio.Runner) -> None:
    async def main() -> None:
        with connected() as (ours, theirs):
            theirs.sendall(b"few")
            unread = Unread(ours, 10, SHORT)
            assert (await relay(only(unread))).content == b"few"
            assert unread.failure == "the storage sent nothing for 0 s"

    runner.run(main())


def test_a_little_that_comes_is_not_kept_back(runner: asyncio.Runner) -> None:
    """However much is still to come."""

    async def main() -> None:
        with connected() as (ours, theirs):
            unread = Unread(ours, 10 << 20, LONG)
            reading, writing = open_pipe()
            for piece in (b"a", b"bc"):
                theirs.sendall(piece)
                await asyncio.wait_for(unread.arrival(), LONG)
                assert unread.splice(writing) == len(piece)
                assert os.read(reading, 100) == piece
            os.close(reading)
            os.close(writing)

    runner.run(main())


def test_where_there_is_no_room(runner: asyncio.Runner) -> None:
    async def main() -> None:
        reading, writing = open_pipe()
        async with storage_sending(CONTENT) as connection:
            unread = Unread(connection, len(CONTENT), LONG)
            assert not unread.splice(writing)
            while not unread.moved or unread.splice(writing):
                await unread.arrival()
                unread.splice(writing)
            await unread.arrival()
            assert unread.has_come()
            assert unread.splice(writing) == 0
            os.close(reading)
            with pytest.raises(BrokenPipeError):
                unread.splice(writing)
        os.close(writing)

    runner.run(main())
