"""Granian's parent process, with two things done differently: what follows when a worker dies, and the second signal.

Concurrency: the main thread runs ``_serve_loop`` and the signal handlers; Granian's threads that wait for each worker
append to ``interrupt_children`` and set ``main_loop_interrupt``.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from granian.server.mp import MPServer

from matou.system.processes import describe_exit

if TYPE_CHECKING:
    from granian.server.mp import WorkerProcess

log = logging.getLogger("matou.registry")

STEADY = 3.0  # seconds of life after which a worker's earlier failures are forgotten
FIRST_DELAY = 0.1  # seconds before a worker that did not live so long is replaced; doubled with each failure in a row
LONGEST_DELAY = 5.0
HOPELESS = 4  # failures in a row of every worker, before any was steady, after which there is no point in going on


class Processes(MPServer):
    """Keeps workers running.

    Granian ends all workers when one dies twice in a few seconds. Here the others go on serving: whatever kills a
    worker (a bug, the kernel when memory is short, an administrator) must not become an outage.

    Attributes:
        is_hopeless: set when the workers end as soon as they are started, and were given up.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.is_hopeless = False
        self._was_steady = False
        self._failures: dict[int, int] = {}
        self._start_at: dict[int, float] = {}

    def signal_handler_interrupt(self, *_arguments: Any, **_options: Any) -> None:
        """Stop: gracefully at the first signal, at once at the second."""
        if self.interrupt_signal:
            for worker in self.wrks:
                worker.kill()  # type: ignore[no-untyped-call] # Granian's
        self.interrupt_signal = True
        # Not from here: the handler runs in between two steps of the main thread, which may hold the event's own lock.
        threading.Thread(target=self.main_loop_interrupt.set).start()

    def _serve_loop(self, spawn_target: Any, target_loader: Any) -> None:
        while True:
            self.main_loop_interrupt.wait(self._nap())
            self.main_loop_interrupt.clear()
            if self.interrupt_signal:
                return
            while self.interrupt_children:
                self._schedule(self.wrks[self.interrupt_children.pop(0)])
            if self._all_failed():
                log.error("the workers end as soon as they are started: giving up")
                self.is_hopeless = True
                return
            now = time.monotonic()
            for index in [index for index, start in self._start_at.items() if start <= now]:
                del self._start_at[index]
                self._respawn_workers([index], spawn_target, target_loader)
            if self.reload_signal:
                self._reload(spawn_target, target_loader)  # type: ignore[no-untyped-call] # Granian's

    def _nap(self) -> float | None:
        if not self._start_at:
            return None
        return max(0.0, min(self._start_at.values()) - time.monotonic())

    def _schedule(self, worker: WorkerProcess) -> None:
        now = time.monotonic()
        if now - worker.birth >= STEADY:
            self._was_steady = True
            self._failures[worker.idx] = 0
        failures = self._failures.get(worker.idx, 0)
        delay = 0.0 if not failures and self._was_steady else min(FIRST_DELAY * 2.0**failures, LONGEST_DELAY)
        self._failures[worker.idx] = failures + 1
        self._start_at[worker.idx] = now + delay
        log.error(
            "worker %d (process %s) %s; replacing it in %.1f s",
            worker.idx + 1,
            worker.inner.pid,
            describe_exit(worker.inner.exitcode),
            delay,
        )

    def _all_failed(self) -> bool:
        if self._was_steady or len(self._start_at) < self.workers:
            return False
        return all(self._failures.get(index, 0) >= HOPELESS for index in range(self.workers))
