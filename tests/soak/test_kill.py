"""kill -9 at random moments while clients push: nothing that was acknowledged is lost, and nobody has to mend anything.

``MATOU_SOAK_ROUNDS`` sets how often; ``MATOU_SOAK_SEED`` repeats a run's choices, though not its timing.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.integration.hub import Hub
from tests.servers.docker_registry import running_docker_registry
from tests.servers.matou_registry import MatouRegistry
from tests.servers.waiting import wait_until
from tests.soak.pusher import Pusher, at_work
from tests.soak.survey import check_links, check_pushers

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = int(os.environ.get("MATOU_SOAK_ROUNDS", "20"))
SEED = int(os.environ.get("MATOU_SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
PUSHERS = 4
WORKERS = 2
ATTEMPTS = 20  # of a client whose connections may lie in the queue of a worker that was killed


def test_kill_of_a_worker_and_of_all_processes(tmp_path: Path) -> None:
    print(f"MATOU_SOAK_SEED={SEED}")  # noqa: T201 -- to repeat it
    dice = random.Random(SEED)  # noqa: S311 -- no secret
    registry = MatouRegistry(tmp_path, workers=WORKERS)
    pushers = [Pusher(number, registry.url, dice.getrandbits(32)) for number in range(PUSHERS)]
    pulled = 0
    with contextlib.ExitStack() as stack:
        for pusher in pushers:
            stack.callback(pusher.close)
        hub = stack.enter_context(contextlib.closing(Hub(registry.url)))
        stack.callback(registry.stop)
        registry.start()
        for number in range(ROUNDS):
            if number % 2 == 0:
                _kill_a_worker(registry, pushers, dice)
            else:
                _kill_all(registry, pushers, dice)
                registry.start()
                assert list((registry.tree / "matou" / "tmp").iterdir()) == []
            failures = [failure for pusher in pushers for failure in pusher.failures]
            assert failures == [], f"round {number}: {failures}"
            pulled += check_pushers(hub, pushers, everything=False)
        pulled += check_pushers(hub, pushers, everything=True)
        # Started once more, so that what the last killed worker left is brought up to date without waiting for others.
        registry.kill()
        registry.start()
        assert registry.stop() == 0
        assert registry.tracebacks() == []
        acknowledged, resumed = (
            sum(pusher.acknowledged for pusher in pushers),
            sum(pusher.resumed for pusher in pushers),
        )
        print(f"{ROUNDS} rounds: {acknowledged} pushes, {resumed} uploads resumed, {pulled} images pulled")  # noqa: T201 -- as above
        assert acknowledged > ROUNDS
        check_links(registry.tree)
        with running_docker_registry(tmp_path, registry.tree) as other, contextlib.closing(Hub(other.url)) as their_hub:
            check_pushers(their_hub, pushers, everything=True)


def _kill_a_worker(registry: MatouRegistry, pushers: list[Pusher], dice: random.Random) -> None:
    """Kill one of two workers; the other must answer, and the clients go on."""
    with at_work(pushers):
        time.sleep(dice.uniform(0.05, 0.5))
        wait_until(lambda: len(registry.worker_pids()) == WORKERS)  # both serve
        os.kill(dice.choice(registry.worker_pids()), signal.SIGKILL)
        _ask_patiently(registry)
        time.sleep(dice.uniform(0.05, 0.3))


def _ask_patiently(registry: MatouRegistry) -> None:
    for _ in range(ATTEMPTS):
        with contextlib.suppress(httpx.TransportError):
            assert httpx.get(f"{registry.url}/v2/", timeout=30, trust_env=False).status_code == 200
            return
        time.sleep(0.1)
    pytest.fail(f"no answer in {ATTEMPTS} attempts:\n{registry.tail()}")


def _kill_all(registry: MatouRegistry, pushers: list[Pusher], dice: random.Random) -> None:
    """Kill all processes at once, or only the first of them, which takes the others along."""
    with at_work(pushers):
        time.sleep(dice.uniform(0.05, 0.6))
        registry.kill(parent_only=dice.random() < 0.5)
