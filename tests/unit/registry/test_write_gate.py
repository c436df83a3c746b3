"""Changes wait while a storage is being exchanged, and go on with the one that is there then."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from matou.registry import write_gate
from matou.registry.errors import RegistryError
from matou.registry.files import FileLock, RegistryFiles
from matou.registry.write_gate import Change, WriteGate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def files(tmp_path: Path) -> RegistryFiles:
    return RegistryFiles(tmp_path)


@contextlib.contextmanager
def gates(*of: RegistryFiles) -> Iterator[list[WriteGate]]:
    made = [WriteGate(each) for each in of]
    try:
        yield made
    finally:
        for gate in made:
            gate.close()


@contextlib.contextmanager
def locks(files: RegistryFiles) -> Iterator[tuple[FileLock, FileLock]]:
    """Yield the two locks as whoever exchanges the storage has them."""
    with (
        contextlib.closing(FileLock(files.turnstile)) as turnstile,
        contextlib.closing(FileLock(files.changing)) as changing,
    ):
        yield turnstile, changing


class Context:
    def __init__(self, gate: WriteGate) -> None:
        self.gate = gate


def test_changes_of_several_workers_overlap(files: RegistryFiles) -> None:
    with gates(files, files) as (one, other), locks(files) as (turnstile, changing):
        assert one.try_enter()
        assert one.try_enter()
        assert other.try_enter()
        assert turnstile.try_exclusive()
        for gate in (one, one, other):
            assert not changing.try_exclusive()
            gate.leave()
        assert changing.try_exclusive()


def test_no_change_begins_while_the_turnstile_is_held(files: RegistryFiles) -> None:
    with gates(files, files) as (one, other), locks(files) as (turnstile, _):
        assert one.try_enter()
        assert turnstile.try_exclusive()
        assert not one.try_enter()
        assert not other.try_enter()
        turnstile.release()
        assert other.try_enter()


def test_no_change_begins_where_the_images_no_longer_are(files: RegistryFiles) -> None:
    with gates(files) as (gate,), locks(files) as (_, changing):
        files.moved.touch()
        assert not gate.try_enter()
        assert changing.try_exclusive()


def test_a_change_waits_and_goes_on_with_the_new_gate(tmp_path: Path) -> None:
    old, new = RegistryFiles(tmp_path / "old"), RegistryFiles(tmp_path / "new")
    for each in (old, new):
        each.directory.mkdir()

    async def main() -> None:
        with gates(old, new) as (here, there), locks(old) as (turnstile, _), locks(new) as (_, changing):
            context = Context(here)
            assert turnstile.try_exclusive()

            async def change() -> None:
                async with Change(context):
                    assert not changing.try_exclusive()

            waiting = [asyncio.create_task(change()) for _ in range(3)]
            await asyncio.sleep(3 * write_gate.NAP)
            assert not any(task.done() for task in waiting)
            old.moved.touch()
            turnstile.release()
            await asyncio.sleep(3 * write_gate.NAP)
            assert not any(task.done() for task in waiting)
            context.gate = there
            await asyncio.wait_for(asyncio.gather(*waiting), 10)
            assert changing.try_exclusive()

    asyncio.run(main())


def test_a_change_that_waits_too_long_is_refused(files: RegistryFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_gate, "LONGEST_PAUSE", 0.05)

    async def main() -> None:
        with gates(files) as (gate,), locks(files) as (turnstile, changing):
            assert turnstile.try_exclusive()
            with pytest.raises(RegistryError) as refusal:
                async with Change(Context(gate)):
                    pytest.fail("it must not begin")
            assert (refusal.value.status, refusal.value.code) == (503, "UNAVAILABLE")
            assert changing.try_exclusive()

    asyncio.run(main())


def test_a_change_that_fails_ends(files: RegistryFiles) -> None:
    async def main() -> None:
        with gates(files) as (gate,), locks(files) as (_, changing):
            with pytest.raises(KeyError):
                async with Change(Context(gate)):
                    raise KeyError
            assert changing.try_exclusive()

    asyncio.run(main())
