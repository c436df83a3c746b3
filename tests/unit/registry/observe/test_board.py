from __future__ import annotations

import multiprocessing
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matou.registry.observe.board import TEXT_SIZE, Board
from matou.registry.observe.figures import HANDLERS, Layout

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

SPAWN = multiprocessing.get_context("spawn")


def claim_and_count(board: Board, pipe: Connection) -> None:
    """Runs in a worker: count up, once for each message."""
    place = board.claim()
    pipe.send(place is not None)
    while place is not None and pipe.recv() == "count":
        place.figures[Layout.cache_hits] += 1
        place.figures[Layout.in_flight] += 1
        place.is_down()
        place.report({"disk": "broken"})
        pipe.send(place.figures[Layout.cache_hits])
    if place is not None:
        place.end()


class Worker:
    def __init__(self, board: Board) -> None:
        self._pipe, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=claim_and_count, args=(board, theirs))
        self.process.start()
        theirs.close()
        self.has_place = self._receive()

    def count(self) -> int:
        self._pipe.send("count")
        return int(self._receive())

    def _receive(self) -> Any:
        assert self._pipe.poll(60)
        return self._pipe.recv()

    def stop(self) -> None:
        if self.has_place:
            self._pipe.send("stop")
        self.process.join(60)
        self._pipe.close()
        assert self.process.exitcode == 0

    def kill(self) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join(60)
        self._pipe.close()


def total(board: Board, figure: int) -> int:
    return sum(place.figures[figure] for place in board.places)


def test_workers_have_places_of_their_own() -> None:
    board = Board(2)
    first, second, third = (Worker(board) for _ in range(3))
    assert sum(worker.has_place for worker in (first, second, third)) == 2
    assert [worker.count() for worker in (first, second, third) if worker.has_place] == [1, 1]
    assert total(board, Layout.cache_hits) == 2
    assert {place.pid for place in board.places} == {
        worker.process.pid for worker in (first, second, third) if worker.has_place
    }
    for worker in (first, second, third):
        worker.stop()
    assert [place.pid for place in board.places] == [None, None]


def test_nothing_is_lost_with_a_killed_worker() -> None:
    board = Board(1)
    worker = Worker(board)
    worker.count()
    assert worker.count() == 2
    assert board.places[0].failing == {"disk": "broken"}
    worker.kill()
    assert board.places[0].pid is None
    assert total(board, Layout.cache_hits) == 2
    successor = Worker(board)
    assert successor.has_place
    assert successor.count() == 3
    # What the killed one was doing has ended with it.
    assert total(board, Layout.in_flight) == 1
    assert successor.process.pid == board.places[0].pid
    successor.stop()


def test_down_and_up() -> None:
    board = Board(1)
    place = board.claim()
    assert place is not None
    assert not place.is_down()
    place.report({})
    serial = board.set_down(down=True)
    assert board.is_down
    assert place.seen < serial
    assert place.is_down()
    assert place.seen < serial, "the endpoint does not know of it yet"
    place.report({"manual_http_status": "manual Check"})
    assert place.seen == serial
    board.set_down(down=False)
    assert not place.is_down()
    place.end()


def test_a_new_worker_begins_well() -> None:
    place = Board(1).places[0]
    place.report({"disk": "broken"})
    place.figures[Layout.in_flight + len(HANDLERS) - 1] = 7
    place.begin(os.getpid())
    assert place.failing == {}
    assert place.figures[Layout.failing] == 0
    assert place.figures[Layout.in_flight + len(HANDLERS) - 1] == 0
    assert place.pid == os.getpid()


def test_silence() -> None:
    place = Board(1).places[0]
    place.begin(os.getpid())
    time.sleep(0.02)
    before = place.silence
    place.report({})
    assert before >= 0.02
    assert place.silence < before


@given(st.dictionaries(st.text(max_size=50), st.text(max_size=200), max_size=10))
def test_failing(failing: dict[str, str]) -> None:
    place = Board(1).places[0]
    place.report(failing)
    assert place.failing == failing
    assert place.figures[Layout.failing] == len(failing)


def test_more_than_there_is_room_for() -> None:
    place = Board(1).places[0]
    place.report({f"check {number}": "x" * TEXT_SIZE for number in range(3)})
    assert place.failing == {"check 0": "", "check 1": "", "check 2": ""}


@pytest.mark.parametrize("offset", [0, 5])
def test_half_written_is_not_read(offset: int) -> None:
    place = Board(1).places[0]
    place.report({"disk": "broken"})
    place._text[offset : offset + 4] = b"\xff\xff\xff\xff"
    assert place.failing == {}
