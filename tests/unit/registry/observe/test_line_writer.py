from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matou.registry.observe import line_writer
from matou.registry.observe.line_writer import LineWriter, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        try:
            os.close(descriptor)
        except OSError:
            continue


def drain(reader: int) -> bytes:
    data = b""
    while piece := os.read(reader, 1 << 16):
        data += piece
    return data


def test_everything_comes_out_in_order(pipe: tuple[int, int]) -> None:
    reader, descriptor = pipe
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(drain(reader)))
    thread.start()
    lines = [f"line {number} {'x' * (number % 90)}\n" for number in range(20_000)]

    async def write() -> None:
        writer = LineWriter(asyncio.get_running_loop(), descriptor, "test")
        for line in lines:
            writer.add(line)
        writer.close()

    asyncio.run(write())
    os.close(descriptor)
    thread.join()
    assert got[0].decode() == "".join(lines)


def test_lines_are_flushed_by_themselves(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_writer, "FLUSH_INTERVAL", 0.01)
    reader, descriptor = pipe

    async def write() -> bytes:
        writer = LineWriter(asyncio.get_running_loop(), descriptor, "test")
        writer.add("one\n")
        first = await asyncio.to_thread(os.read, reader, 100)
        writer.add("two\n")
        second = await asyncio.to_thread(os.read, reader, 100)
        writer.close()
        return first + second

    assert asyncio.run(write()) == b"one\ntwo\n"


def test_nobody_reads(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(line_writer, "CLOSE_TIMEOUT", 0.01)
    reader, descriptor = pipe

    async def write() -> None:
        writer = LineWriter(asyncio.get_running_loop(), descriptor, "test")
        for _ in range(4 * line_writer.LIMIT):
            writer.add("x" * line_writer.FLUSH_SIZE + "\n")
        writer.close()
        thread = threading.Thread(target=drain, args=(reader,))
        thread.start()
        await asyncio.to_thread(writer._thread.join)
        writer.add("y\n")
        writer.flush()
        os.close(descriptor)
        thread.join()

    asyncio.run(write())
    assert "lines were dropped because nobody read them in time" in caplog.text


def test_the_reader_is_gone(pipe: tuple[int, int], caplog: pytest.LogCaptureFixture) -> None:
    reader, descriptor = pipe
    os.close(reader)

    async def write() -> None:
        writer = LineWriter(asyncio.get_running_loop(), descriptor, "test")
        for _ in range(3):
            writer.add("x\n")
            writer.flush()
        writer.close()

    asyncio.run(write())
    assert [record.message for record in caplog.records] == [
        "test: cannot be written: [Errno 32] Broken pipe; lines are lost"
    ]


def test_a_descriptor_that_does_not_block(pipe: tuple[int, int]) -> None:
    reader, descriptor = pipe
    os.set_blocking(descriptor, False)
    got: list[bytes] = []

    async def write() -> None:
        writer = LineWriter(asyncio.get_running_loop(), descriptor, "test")
        for _ in range(100):
            writer.add("x" * 10_000 + "\n")
        writer.flush()
        thread = threading.Thread(target=lambda: got.append(drain(reader)))
        thread.start()
        writer.close()
        os.close(descriptor)
        thread.join()

    asyncio.run(write())
    assert len(got[0]) == 100 * 10_001


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)

    async def write() -> None:
        writer = LineWriter(asyncio.get_running_loop(), descriptor, "test")
        writer.add("one\n")
        writer.close()

    asyncio.run(write())
    os.close(descriptor)
    assert path.read_text() == "one\n"


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"") + b"\n")), st.integers(1, 30))
def test_pieces_are_whole_lines(lines: list[bytes], size: int) -> None:
    data = b"".join(lines)
    cut = pieces(data, size)
    assert b"".join(cut) == data
    for piece in cut[:-1]:
        assert piece.endswith(b"\n")
    for piece in cut:
        assert len(piece) <= size or piece.count(b"\n") <= 1
