"""When workers are replaced, and when they are given up."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from matou.registry import processes
from matou.registry.processes import HOPELESS, LONGEST_DELAY, STEADY, Processes


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Subject(Processes):
    """The parent without Granian's sockets and processes: starting a worker takes no time."""

    def __init__(self, clock: Clock, workers: int) -> None:
        self.clock = clock
        self.workers = workers
        self.main_loop_interrupt = threading.Event()
        self.interrupt_signal = False
        self.reload_signal = False
        self.interrupt_children: list[int] = []
        self.is_hopeless = False
        self._was_steady = False
        self._failures = {}
        self._start_at = {}
        self.started: list[tuple[int, float]] = []
        self.wrks: list[Any] = [self.worker(index) for index in range(workers)]

    def worker(self, index: int) -> Any:
        inner = SimpleNamespace(pid=index, exitcode=-9)
        return SimpleNamespace(idx=index, birth=self.clock.now, inner=inner, kill=lambda: self.killed.append(index))

    @property
    def killed(self) -> list[int]:
        return self.__dict__.setdefault("_killed", [])  # type: ignore[no-any-return] # set here

    def die(self, *indexes: int) -> float | None:
        """Let workers die; return in how many seconds the next one is started."""
        for index in indexes:
            self._schedule(self.wrks[index])
        return self._nap()

    def start_due(self) -> None:
        nap = self._nap()
        assert nap is not None
        self.clock.now += nap
        for index, start in list(self._start_at.items()):
            if start <= self.clock.now:
                del self._start_at[index]
                self.wrks[index] = self.worker(index)


@pytest.fixture
def subject(monkeypatch: pytest.MonkeyPatch) -> Subject:
    clock = Clock()
    monkeypatch.setattr(processes, "time", clock)
    return Subject(clock, 2)


def test_a_steady_worker_is_replaced_at_once(subject: Subject) -> None:
    assert subject._nap() is None
    subject.clock.now += STEADY
    assert subject.die(0) == 0.0
    assert not subject._all_failed()


def test_a_worker_that_keeps_dying_is_replaced_ever_more_slowly_and_the_others_serve(subject: Subject) -> None:
    subject.clock.now += STEADY
    delays = []
    for _ in range(12):
        delays.append(subject.die(0))
        assert not subject._all_failed()
        subject.start_due()
    assert delays == sorted(delays, key=lambda delay: delay or 0.0)
    assert delays[-1] == pytest.approx(LONGEST_DELAY)
    subject.clock.now += STEADY
    assert subject.die(0) == 0.0  # it has lived: what was before is forgotten


def test_workers_that_never_lived_are_given_up(subject: Subject) -> None:
    for _ in range(HOPELESS):
        assert not subject._all_failed()
        subject.die(0, 1)
        hopeless = subject._all_failed()
        if not hopeless:
            while len(subject._start_at) > 0:
                subject.start_due()
    assert hopeless


def test_one_that_never_lived_is_not_given_up_while_the_other_lives(subject: Subject) -> None:
    for _ in range(HOPELESS * 3):
        subject.die(0)
        assert not subject._all_failed()
        subject.start_due()


def test_the_second_signal_kills(subject: Subject) -> None:
    subject.signal_handler_interrupt()
    assert (subject.interrupt_signal, subject.killed) == (True, [])
    subject.signal_handler_interrupt()
    assert subject.killed == [0, 1]
