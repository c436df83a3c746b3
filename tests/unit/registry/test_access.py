"""What the check of a storage finds, on storages that lack one thing each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from matou.cli import access as shown
from matou.registry import access
from matou.registry.access import AccessCheck, Outcome, check_at_start
from matou.registry.blobs import layout
from matou.registry.drivers.base import NotFound, StorageError, Transient, Unusable
from matou.registry.drivers.filesystem import FilesystemDriver
from matou.registry.drivers.inmemory import InMemoryDriver
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.drivers.object_store import StoredObject
from tests.drivers.memory_store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from matou.registry.drivers.base import Driver
    from matou.registry.drivers.object_store import Listing, Segment

MIB = 1 << 20
BLOB = f"{layout.BLOBS}/sha256/ab/abcd/data"


def outcomes(driver: Driver, *, redirects: bool = False, readonly: bool = False) -> dict[str, Outcome]:
    async def collect() -> list[Outcome]:
        found = [outcome async for outcome in AccessCheck(driver, redirects=redirects, readonly=readonly).run()]
        await driver.close()
        return found

    found = asyncio.run(collect())
    assert len({outcome.step for outcome in found}) == len(found)
    return {outcome.step: outcome for outcome in found}


def problems(found: dict[str, Outcome]) -> dict[str, str]:
    return {step: outcome.problem for step, outcome in found.items() if outcome.problem}


class Store(MemoryStore):
    """A store that refuses, or does wrong, what a test says."""

    def __init__(self, *wrong: str) -> None:
        super().__init__(5 * MIB)
        self.wrong = wrong

    def url(self, key: str, method: str, seconds: float) -> Any:  # noqa: ARG002 -- the protocol's arguments
        async def none() -> None:
            return None

        return none()

    def check(self, what: str) -> None:
        if what in self.wrong:
            raise StorageError(f"{what} is refused")

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        self.check("put")
        await super().put(key, chunks)

    async def get(self, key: str) -> bytes:
        self.check("get")
        return b"cached" if "old content" in self.wrong else await super().get(key)

    async def head(self, key: str) -> StoredObject:
        self.check("head")
        try:
            found = await super().head(key)
        except NotFound:
            if "head of nothing" in self.wrong:
                raise StorageError("head of nothing is refused") from None
            if "invented" in self.wrong:
                return StoredObject(key, 7, 0.0)
            raise
        if "wrong size" in self.wrong:
            found = found._replace(size=1)
        if "late clock" in self.wrong:
            found = found._replace(modified=found.modified - 4000)
        return found

    async def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        self.check("read")
        async for piece in super().read(key, 0 if "range ignored" in self.wrong else start, length):
            yield piece

    async def list(self, prefix: str, *, directories: bool) -> AsyncIterator[Listing]:
        self.check("list")
        async for page in super().list(prefix, directories=directories):
            yield page

    async def delete(self, keys: Sequence[str]) -> None:
        self.check("delete")
        if "delete ignored" not in self.wrong:
            await super().delete(keys)

    async def assemble(self, segments: Sequence[Segment], key: str) -> None:
        self.check("assemble")
        await super().assemble(segments[:1] if "parts lost" in self.wrong else segments, key)

    async def sweep(self, age: float) -> int:  # noqa: ARG002 -- the protocol's argument
        self.check("sweep")
        return 0


@pytest.mark.parametrize("kind", ["objects", "kept segments", "filesystem", "inmemory"])
def test_a_storage_that_does_everything_passes_and_is_left_as_it_was(kind: str, tmp_path: Path) -> None:
    driver: Driver = InMemoryDriver()
    if kind == "filesystem":
        driver = FilesystemDriver(tmp_path)
    elif kind != "inmemory":
        driver = ObjectDriver(MemoryStore(5 * MIB, keeps_segments=kind == "kept segments"))
    found = outcomes(driver)
    assert problems(found) == {}
    assert tuple(found) == access.STEPS
    assert [step for step, outcome in found.items() if not outcome.tried] == [access.URL_GET, access.URL_HEAD]
    if isinstance(driver, ObjectDriver):
        assert isinstance(driver.store, MemoryStore)
        assert driver.store.objects == {}
    elif kind == "filesystem":
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("wrong", "steps"),
    [
        ("head", {access.DESCRIBE, access.ABSENT, access.CLOCK}),
        ("head of nothing", {access.ABSENT}),
        ("invented", {access.ABSENT}),
        ("wrong size", {access.DESCRIBE}),
        ("get", {access.READ, access.UPLOAD}),
        ("old content", {access.READ, access.UPLOAD}),
        ("read", {access.RANGE, access.PARTS}),
        ("range ignored", {access.RANGE}),
        ("assemble", {access.UPLOAD, access.PARTS}),
        ("parts lost", {access.PARTS}),
        ("sweep", {access.SWEEP}),
        ("late clock", {access.CLOCK}),
    ],
)
def test_each_step_finds_what_is_its_own(wrong: str, steps: set[str]) -> None:
    store = Store(wrong)
    found = outcomes(ObjectDriver(store))
    assert set(problems(found)) == steps
    assert all("\n" not in problem for problem in problems(found).values())
    assert store.objects == {}


@pytest.mark.parametrize("wrong", ["list", "delete", "delete ignored"])
def test_what_cannot_be_deleted_is_told(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "LAG", 0.0)
    monkeypatch.setattr(access, "LAG_PAUSE", 0.0)
    found = outcomes(ObjectDriver(Store(wrong)))
    assert access.DELETE in problems(found)


def test_a_clock_that_is_wrong_is_measured() -> None:
    clock = outcomes(ObjectDriver(Store("late clock")))[access.CLOCK]
    assert clock.ahead == pytest.approx(-4000, abs=2)
    assert "s behind this machine's; have this machine's set by NTP" in clock.problem
    assert outcomes(ObjectDriver(Store()))[access.CLOCK].ahead == 0


def test_without_the_right_to_write_the_rest_is_tried_with_a_blob_that_is_there() -> None:
    store = Store("put")
    found = outcomes(ObjectDriver(store))
    assert problems(found) == {access.WRITE: "put is refused"}
    assert not found[access.DESCRIBE].tried
    store.objects[BLOB] = (b"content of a blob", 0.0)
    found = outcomes(ObjectDriver(store))
    assert problems(found) == {access.WRITE: "put is refused"}
    assert found[access.DESCRIBE].tried
    assert found[access.RANGE].tried


@pytest.mark.parametrize("kind", [Unusable, Transient])
def test_nothing_else_is_tried_where_nothing_can_succeed(kind: type[StorageError]) -> None:
    class Closed(Store):
        def check(self, what: str) -> None:
            raise kind(f"{what}: nobody knows the key")

    assert outcomes(ObjectDriver(Closed())) == {access.WRITE: Outcome(access.WRITE, "put: nobody knows the key")}
    found = outcomes(ObjectDriver(Closed()), readonly=True)
    assert found == {access.LIST: Outcome(access.LIST, "list: nobody knows the key")}


def test_a_registry_that_only_reads_needs_no_more() -> None:
    store = Store("put", "delete", "assemble", "sweep")
    assert problems(outcomes(ObjectDriver(store), readonly=True)) == {}
    store.objects[BLOB] = (b"x", 0.0)
    found = outcomes(ObjectDriver(store), readonly=True)
    assert problems(found) == {}
    assert access.WRITE not in found
    assert not any(request.startswith(("put", "delete")) for request in store.requests)
    assert set(problems(outcomes(ObjectDriver(Store("list")), readonly=True))) == {access.LIST, access.ABSENT}
    assert set(problems(outcomes(ObjectDriver(Store("head")), readonly=True))) == {access.ABSENT}


def test_a_storage_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(Store):
        async def head(self, key: str) -> StoredObject:
            await asyncio.sleep(3600)
            return await super().head(key)

    monkeypatch.setattr(access, "STEP_SECONDS", 0.05)
    found = problems(outcomes(ObjectDriver(Silent())))
    assert set(found) == {access.DESCRIBE, access.ABSENT, access.CLOCK}
    assert "did not answer within" in found[access.DESCRIBE]


@pytest.mark.parametrize("wrong", ["put", "head", "list", "delete"])
def test_a_start_tries_the_least_that_is_needed(wrong: str) -> None:
    store = Store(wrong)
    driver = ObjectDriver(store)
    with pytest.raises(StorageError, match=f"{wrong} is refused"):
        asyncio.run(check_at_start(driver, readonly=False))
    assert (store.objects == {}) == (wrong not in ("delete", "list"))
    if wrong in ("put", "delete"):
        asyncio.run(check_at_start(driver, readonly=True))
    else:
        with pytest.raises(StorageError, match=f"{wrong} is refused"):
            asyncio.run(check_at_start(driver, readonly=True))


def test_a_start_tells_of_a_clock_that_the_storage_does_not_mind(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(check_at_start(ObjectDriver(Store()), readonly=False))
    assert caplog.messages == []
    asyncio.run(check_at_start(ObjectDriver(Store("late clock")), readonly=False))
    (line,) = caplog.messages
    assert line.startswith("the clock of the storage is ")
    assert line.endswith(" s behind this machine's; have this machine's set by NTP (chronyd, systemd-timesyncd)")


def test_a_start_leaves_nothing_behind() -> None:
    store = Store()
    asyncio.run(check_at_start(ObjectDriver(store), readonly=False))
    assert store.objects == {}
    assert len(store.requests) <= 5


def test_every_step_and_note_can_be_translated() -> None:
    assert access.STEPS == shown.STEPS
    source = access.__file__
    with open(source, encoding="utf-8") as file:  # noqa: PTH123 -- a module's own path
        text = file.read()
    assert all(f'note="{note}"' in text for note in shown.NOTES)
    assert text.count("note=") == len(shown.NOTES)
