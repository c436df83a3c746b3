from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from matou.registry.concurrency import Once, each, for_each, results

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


def test_a_few_are_worked_on_at_a_time() -> None:
    under_way: set[int] = set()
    most: list[int] = []
    done: list[int] = []

    async def work(item: int) -> None:
        under_way.add(item)
        most.append(len(under_way))
        await asyncio.sleep(0)
        under_way.remove(item)
        done.append(item)

    asyncio.run(for_each(each(range(100)), work, 7))
    assert sorted(done) == list(range(100))
    assert max(most) == 7


def test_the_next_item_is_asked_for_when_there_is_room() -> None:
    asked: list[int] = []
    go_on = asyncio.Event()

    async def items() -> AsyncGenerator[int, None]:
        for number in range(10):
            asked.append(number)
            yield number

    async def work(_item: int) -> None:
        await go_on.wait()

    async def scenario() -> None:
        running = asyncio.create_task(for_each(items(), work, 3))
        for _ in range(50):
            await asyncio.sleep(0)
        assert asked == [0, 1, 2, 3]
        go_on.set()
        await running
        assert asked == list(range(10))

    asyncio.run(scenario())


@pytest.mark.parametrize("where", ["work", "items"])
def test_the_first_failure_ends_it_and_nothing_goes_on_in_secret(where: str) -> None:
    ended: list[str] = []

    async def items() -> AsyncGenerator[int, None]:
        try:
            for number in range(10):
                await asyncio.sleep(0)
                if where == "items" and number == 5:
                    raise OSError("it")
                yield number
        finally:
            ended.append("items")

    async def work(item: int) -> None:
        if where == "work" and item == 3:
            raise OSError("it")
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("work")

    async def scenario() -> None:
        with pytest.raises(OSError, match="it"):
            await for_each(items(), work, 6)
        assert ended.count("items") == 1
        assert ended.count("work") >= 3
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())


def test_results_come_in_order_and_one_failure_is_the_failure() -> None:
    async def double(item: int) -> int:
        await asyncio.sleep(0.001 * (5 - item))
        if item > 5:
            raise ValueError(item)
        return 2 * item

    assert asyncio.run(results(range(5), double)) == [0, 2, 4, 6, 8]
    assert asyncio.run(results([], double)) == []
    with pytest.raises(ValueError, match="6"):
        asyncio.run(results([1, 6], double))


def test_an_answer_is_found_out_once_and_a_failure_is_not_remembered() -> None:
    asked: list[str] = []

    async def find(key: str) -> str:
        asked.append(key)
        await asyncio.sleep(0)
        if asked.count("bad") == 1 and key == "bad":
            raise OSError("it")
        return key.upper()

    async def scenario() -> None:
        once = Once(find)
        assert await asyncio.gather(*(once.get("a") for _ in range(10))) == ["A"] * 10
        assert asked == ["a"]
        first, *others = await asyncio.gather(*(once.get("bad") for _ in range(3)), return_exceptions=True)
        assert isinstance(first, OSError)
        assert others == ["BAD", "BAD"]
        assert once.known == {"a": "A", "bad": "BAD"}

    asyncio.run(scenario())
