"""Registries that claim one storage, in the time of an event loop that does not wait."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers.base import StorageError
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.ownership.claim import DEAD, POLL, SETTLE, Claim, Claimed, InUse
from matou.registry.ownership.identity import Identity, Known
from matou.registry.ownership.records import OWNERS, Record, Records, State, decode
from matou.registry.ownership.renewal import RENEWAL
from tests.drivers.clocked_store import ClockedStore
from tests.drivers.latency import LATENCY, seconds_of

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Registry:
    """A directory with an index, on a machine.

    Args:
        store: that it is to serve.
        name: id and host.
    """

    def __init__(self, store: ClockedStore, name: str) -> None:
        self.records = Records(ObjectDriver(store))
        self.name = name
        self.known: Known | None = None
        self.claimed: Claimed | None = None
        self.copies = 0

    async def start(self) -> Claimed:
        def remember(known: Known) -> None:
            self.known = known

        def another_id() -> str:
            self.copies += 1
            return f"{self.name}-{self.copies}"

        clock = asyncio.get_running_loop().time
        claim = Claim(self.records, Identity(self.name, f"host-{self.name}", "/state"), clock, another_id)
        self.claimed = await claim.take(self.known, remember)
        self.known = Known(self.claimed.record.epoch, self.claimed.record.count)
        return self.claimed

    @property
    def record(self) -> Record:
        assert self.claimed is not None
        return self.claimed.record

    async def renew(self) -> None:
        """Renew once, as a worker does."""
        assert self.known is not None
        self.known = Known(self.known.epoch, self.known.count + 1)
        await self.records.put(self._record(State.OWNER))

    async def run(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL)
            await self.renew()

    async def release(self) -> None:
        assert self.known is not None
        self.known = Known(self.known.epoch, self.known.count + 1)
        await self.records.put(self._record(State.RELEASED))

    def _record(self, state: State) -> Record:
        assert self.known is not None
        return Record(self.record.id, self.known.epoch, self.known.count, state, f"host-{self.name}", "/state")


def run(scenario: Coroutine[None, None, None]) -> None:
    seconds_of(scenario)


async def states(registry: Registry) -> dict[str, State]:
    return {name: record.state for name, record in (await registry.records.all()).items()}


def test_the_first_registry_waits_a_moment_and_serves() -> None:
    async def scenario() -> None:
        one = Registry(ClockedStore(), "one")
        claimed = await one.start()
        assert (claimed.record.epoch, claimed.outdated) == (1, "")
        assert await states(one) == {"one": State.OWNER}

    assert SETTLE <= seconds_of(scenario()) < SETTLE + 20 * LATENCY


def test_a_registry_that_was_killed_goes_on_at_once() -> None:
    async def scenario() -> None:
        one = Registry(ClockedStore(), "one")
        await one.start()
        began = asyncio.get_running_loop().time()
        for _ in range(3):
            assert (await one.start()).outdated == ""
        assert asyncio.get_running_loop().time() - began < 3 * 12 * LATENCY
        assert one.known == Known(1, 4)

    run(scenario())


@pytest.mark.parametrize("after", [0.0, 7.0, 59.0])
def test_another_registry_is_refused_while_the_first_one_runs(after: float) -> None:
    async def scenario() -> None:
        store = ClockedStore()
        one, other = Registry(store, "one"), Registry(store, "other")
        await one.start()
        running = asyncio.create_task(one.run())
        await asyncio.sleep(after)
        began = asyncio.get_running_loop().time()
        with pytest.raises(InUse, match="the registry on host-one"):
            await other.start()
        assert asyncio.get_running_loop().time() - began < RENEWAL + POLL + 20 * LATENCY
        running.cancel()
        assert await states(one) == {"one": State.OWNER}

    run(scenario())


@pytest.mark.parametrize("ahead", [0.0, -3600.0, 3600.0])
def test_a_registry_whose_machine_died_is_succeeded_after_a_minute_by_the_clock_of_the_storage(ahead: float) -> None:
    async def scenario() -> None:
        store = ClockedStore(ahead)
        one, other = Registry(store, "one"), Registry(store, "other")
        await one.start()
        began = asyncio.get_running_loop().time()
        claimed = await other.start()
        assert DEAD - 1 <= asyncio.get_running_loop().time() - began < DEAD + SETTLE + POLL + 20 * LATENCY
        assert claimed.record.epoch == 2
        assert "host-one" in claimed.outdated
        assert await states(other) == {"other": State.OWNER}
        # The first one comes back: it does not know what was pushed meanwhile.
        running = asyncio.create_task(other.run())
        with pytest.raises(InUse, match="host-other"):
            await one.start()
        running.cancel()

    run(scenario())


def test_a_registry_that_was_stopped_is_succeeded_at_once_and_comes_back_with_a_new_index() -> None:
    async def scenario() -> None:
        store = ClockedStore()
        one, other = Registry(store, "one"), Registry(store, "other")
        await one.start()
        await one.release()
        began = asyncio.get_running_loop().time()
        assert "host-one" in (await other.start()).outdated
        assert asyncio.get_running_loop().time() - began < SETTLE + 25 * LATENCY
        await other.release()
        claimed = await one.start()
        assert "host-other" in claimed.outdated
        assert claimed.record.epoch == 3
        await one.release()
        assert (await one.start()).outdated == ""

    run(scenario())


def test_an_index_that_is_a_copy_or_from_a_backup_is_not_trusted() -> None:
    async def scenario() -> None:
        store = ClockedStore()
        one = Registry(store, "one")
        await one.start()
        old = one.known
        await one.renew()
        # The machine is gone; its backup of yesterday is started on another one.
        backup = Registry(store, "one")
        backup.known = old
        claimed = await backup.start()
        assert "a copy, or from a backup" in claimed.outdated
        assert claimed.record.id == "one-1"
        # And if the machine is not gone, the copy is refused.
        running = asyncio.create_task(backup.run())
        copy = Registry(store, "one-1")
        copy.known = Known(claimed.record.epoch, claimed.record.count - 1)
        with pytest.raises(InUse):
            await copy.start()
        running.cancel()

    run(scenario())


def test_a_lost_index_of_the_same_directory_is_no_other_registry() -> None:
    async def scenario() -> None:
        one = Registry(ClockedStore(), "one")
        await one.start()
        one.known = None
        claimed = await one.start()
        assert claimed.outdated == ""
        assert claimed.record.count > 1

    run(scenario())


@pytest.mark.parametrize("start", ["empty", "released", "dead"])
@pytest.mark.parametrize("seed", range(60))
def test_of_several_that_start_at_once_no_two_serve(seed: int, start: str) -> None:
    async def scenario() -> None:
        dice = random.Random(seed)  # noqa: S311 -- no secret
        store = ClockedStore(dice=dice)
        registries = [Registry(store, f"r{number}") for number in range(4)]
        if start != "empty":
            await registries[0].start()
            if start == "released":
                await registries[0].release()
            else:
                await asyncio.sleep(DEAD + 5)

        running: list[asyncio.Task[None]] = []

        async def attempt(registry: Registry) -> Registry | None:
            await asyncio.sleep(dice.choice([0.0, dice.uniform(0, 2 * SETTLE)]))
            try:
                await registry.start()
            except InUse:
                return None
            running.append(asyncio.create_task(registry.run()))
            return registry

        outcomes = await asyncio.gather(*(attempt(registry) for registry in registries))
        serving = [registry for registry in outcomes if registry is not None]
        for task in running:
            task.cancel()
        assert len(serving) <= 1
        found = await states(registries[0])
        assert list(found.values()).count(State.OWNER) == len(serving)
        if not serving:
            # Whoever tries next has it, and nothing is lost.
            assert (await registries[1].start()).record.epoch >= 1

    run(scenario())


def test_one_that_seemed_dead_and_renews_in_the_last_moment_keeps_the_storage() -> None:
    async def scenario() -> None:
        store = ClockedStore()
        one, other = Registry(store, "one"), Registry(store, "other")
        await one.start()
        await asyncio.sleep(DEAD + 1)
        starting = asyncio.create_task(other.start())
        await asyncio.sleep(SETTLE / 2)
        assert (await states(one))["other"] is State.CLAIMING
        await one.renew()
        with pytest.raises(InUse, match="host-one"):
            await starting
        assert await states(one) == {"one": State.OWNER}

    run(scenario())


def test_one_that_starts_again_while_another_claims_waits_for_what_comes_of_it() -> None:
    async def scenario() -> None:
        store = ClockedStore()
        one, other = Registry(store, "one"), Registry(store, "other")
        await one.start()
        await asyncio.sleep(DEAD + 1)
        starting = asyncio.create_task(other.start())
        await asyncio.sleep(SETTLE / 2)
        outcomes = await asyncio.gather(starting, one.start(), return_exceptions=True)
        assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1
        assert all(isinstance(outcome, InUse | Claimed) for outcome in outcomes)

    run(scenario())


def test_a_record_that_cannot_be_read_is_told_and_not_guessed() -> None:
    async def scenario() -> None:
        store = ClockedStore()
        store.objects[f"{OWNERS}/x.json"] = (b"{}", 0.0)
        with pytest.raises(StorageError, match=r"matou/owners/x.json in the storage.*delete the object"):
            await Registry(store, "one").start()

    run(scenario())


def test_a_record_is_read_as_it_was_written() -> None:
    record = Record("a" * 32, 3, 17, State.OWNER, "host", "/var/lib", 0.0)
    assert decode(record.path, record.encode(), 0.0) == record
