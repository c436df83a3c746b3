"""kill -9 of the processes of ``matou serve`` while clients push: each is started again, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import httpx

from tests.integration.hub import Hub
from tests.servers.matou_serve import ROOT_PASSWORD, MatouServe, descendants
from tests.soak.pusher import SHARED, Pusher, at_work
from tests.soak.survey import check_links, check_pushers
from tests.soak.test_kill import ROUNDS, SEED

PUSHERS = 2
REPOSITORIES = (SHARED, *(f"soak/own{number}" for number in range(PUSHERS)))


def test_kill_of_every_process_of_an_installation(tmp_path: Path) -> None:
    print(f"MATOU_SOAK_SEED={SEED}")  # noqa: T201 -- to repeat it
    dice = random.Random(SEED)  # noqa: S311 -- no secret
    server = MatouServe(tmp_path / "home")
    url = f"http://{server.registry}"
    pushers = [Pusher(number, url, dice.getrandbits(32)) for number in range(PUSHERS)]
    with contextlib.ExitStack() as stack:
        for pusher in pushers:
            stack.callback(pusher.close)
        hub = stack.enter_context(contextlib.closing(Hub(url)))
        stack.callback(server.stop)
        server.start()
        for repository in REPOSITORIES:
            server.matou("admin", "create-project", repository, "--visibility", "private")
        for number in range(max(4, ROUNDS // 5)):
            _authorize(server, hub, *(pusher.hub for pusher in pushers))
            with at_work(pushers):
                time.sleep(dice.uniform(0.2, 0.8))
                if number % 4 == 3:
                    server.kill()
                else:
                    os.kill(_victim(server, number % 4), signal.SIGKILL)
            if server.process is None:
                server.start()
            server.wait_until_ready()
            assert [pusher.failures for pusher in pushers] == [[]] * PUSHERS, server.tail()
            check_pushers(hub, pushers, everything=False)
        _authorize(server, hub)
        check_pushers(hub, pushers, everything=True)
        assert sum(pusher.acknowledged for pusher in pushers) > PUSHERS
        server.kill()
        server.start()
        assert server.stop() == 0
        check_links(tmp_path / "home" / "registry" / "storage")


def _authorize(server: MatouServe, *hubs: Hub) -> None:
    scopes = [("scope", f"repository:{repository}:pull,push,delete") for repository in REPOSITORIES]
    answer = httpx.get(
        f"{server.portal}/jwt/auth",
        params=[("service", "container_registry"), *scopes],
        auth=("root", ROOT_PASSWORD),
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    for hub in hubs:
        hub.authorize(answer.json()["token"])


def _victim(server: MatouServe, kind: int) -> int:
    """Return a worker of the registry, the registry's parent or the portal's process."""
    assert server.process is not None
    part = ("matou registry worker", "matou registry", "portal_process")[kind]
    return next(pid for pid in descendants(server.process.pid) if part in _title(pid))


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""
