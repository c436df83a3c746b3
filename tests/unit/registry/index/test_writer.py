"""What can go wrong around a transaction: callers that go away, commits that fail, databases that are locked."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import pytest

from matou.registry.index import changes
from matou.registry.index.migrate import upgrade
from matou.registry.index.reader import Reader
from matou.registry.index.writer import IndexFailed, IndexFull, Writer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path


class Faulty:
    """A connection whose commits are held up or fail.

    Args:
        connection: the real one.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.error: BaseException | None = None
        self.committing = threading.Event()
        self.may_commit = threading.Event()
        self.may_commit.set()
        self.commits = 0

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        if statement == "COMMIT":
            self.committing.set()
            assert self.may_commit.wait(60)
            self.commits += 1
            if self.error is not None:
                raise self.error
        return self._connection.execute(statement, *arguments)

    def close(self) -> None:
        self._connection.close()


def run(path: Path, scenario: Callable[[Writer, Faulty, Reader], Awaitable[None]]) -> None:
    upgrade(path)

    async def whole() -> None:
        writer, reader = Writer(path, asyncio.get_running_loop()), Reader(path)
        faulty = Faulty(writer._connection)
        writer._connection = faulty  # type: ignore[assignment] # as much of one as the writer needs
        try:
            await scenario(writer, faulty, reader)
        finally:
            await writer.close()
            reader.close()

    asyncio.run(whole())


async def put(writer: Writer, repository: str) -> None:
    await writer.run(lambda connection: changes.put_blob(connection, repository, "sha256:1", 1, "me"))


async def reach(event: threading.Event) -> None:
    await asyncio.to_thread(event.wait, 60)


def full() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (full(), IndexFull),
        (sqlite3.OperationalError("disk I/O error"), IndexFailed),
        (RuntimeError("odd"), IndexFailed),
    ],
)
def test_a_failed_commit_takes_all_back_and_the_next_one_works(
    error: Exception, expected: type[Exception], tmp_path: Path
) -> None:
    async def scenario(writer: Writer, faulty: Faulty, reader: Reader) -> None:
        faulty.error = error
        results = await asyncio.gather(put(writer, "a"), put(writer, "b"), return_exceptions=True)
        assert [type(result) for result in results] == [expected, expected]
        assert not faulty.in_transaction
        assert reader.tags("a", "", 1) is None
        faulty.error = None
        await put(writer, "c")
        assert [reader.tags(name, "", 1) is not None for name in "abc"] == [False, False, True]

    run(tmp_path / "index.db", scenario)


def test_a_caller_that_goes_away_takes_nobody_along(tmp_path: Path) -> None:
    async def scenario(writer: Writer, faulty: Faulty, reader: Reader) -> None:
        faulty.may_commit.clear()
        gone, waiting = asyncio.create_task(put(writer, "gone")), asyncio.create_task(put(writer, "waiting"))
        await reach(faulty.committing)
        gone.cancel()
        later = asyncio.create_task(put(writer, "later"))
        await asyncio.sleep(0)
        assert faulty.commits == 0
        faulty.may_commit.set()
        await asyncio.gather(waiting, later)
        assert gone.cancelled()
        assert faulty.commits == 2  # what came during the first commit is not part of it
        assert [reader.tags(name, "", 1) is not None for name in ("gone", "waiting", "later")] == [True] * 3

    run(tmp_path / "index.db", scenario)


def test_a_writer_that_is_cancelled_waits_for_its_commit_and_tells_its_callers(tmp_path: Path) -> None:
    async def scenario(writer: Writer, faulty: Faulty, reader: Reader) -> None:
        faulty.may_commit.clear()
        change = asyncio.create_task(put(writer, "a"))
        await reach(faulty.committing)
        work = writer._task
        assert work is not None
        work.cancel()
        await asyncio.sleep(0.05)
        assert not work.done()
        faulty.may_commit.set()
        with pytest.raises(IndexFailed, match="broke off"):
            await change
        assert work.cancelled()
        assert not faulty.in_transaction
        assert reader.tags("a", "", 1) is not None
        await put(writer, "b")  # and the lock is free

    run(tmp_path / "index.db", scenario)


def test_closing_finishes_what_was_submitted(tmp_path: Path) -> None:
    upgrade(tmp_path / "index.db")

    async def scenario() -> None:
        writer = Writer(tmp_path / "index.db", asyncio.get_running_loop())
        submitted = [asyncio.create_task(put(writer, f"r{number}")) for number in range(200)]
        await asyncio.sleep(0)
        await writer.close()
        await asyncio.gather(*submitted)
        with pytest.raises(IndexFailed):
            await put(writer, "late")

    asyncio.run(scenario())
    reader = Reader(tmp_path / "index.db")
    assert reader.counts()[0] == 200
    reader.close()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the database's own lock, as a person's sqlite3 does."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("COMMIT")
        connection.close()


def test_a_locked_database_is_waited_for_without_holding_up_the_loop(tmp_path: Path) -> None:
    async def scenario(writer: Writer, _faulty: Faulty, reader: Reader) -> None:
        with locked(tmp_path / "index.db"):
            change = asyncio.create_task(put(writer, "a"))
            for _ in range(20):
                await asyncio.sleep(0.005)  # the loop turns
            assert not change.done()
        await change
        assert reader.tags("a", "", 1) is not None

    run(tmp_path / "index.db", scenario)
