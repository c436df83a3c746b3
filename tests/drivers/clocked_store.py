"""A store whose objects bear the time of the event loop, for what goes by the storage's clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.drivers.latency import DistantStore

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

LONGEST = 0.3  # seconds


class ClockedStore(DistantStore):
    """Objects behind a network, stamped when they arrive.

    Args:
        ahead: seconds by which its clock is ahead of the loop's.
        dice: for how long an answer to a write takes; None for no time.
    """

    def __init__(self, ahead: float = 0.0, dice: random.Random | None = None) -> None:
        super().__init__()
        self._ahead = ahead
        self._dice = dice

    async def _wait(self) -> None:
        if self._dice is not None:
            await asyncio.sleep(self._dice.uniform(0, LONGEST))

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        await self._wait()
        await super().put(key, chunks)
        content, _ = self.objects[key]
        self.objects[key] = (content, asyncio.get_running_loop().time() + self._ahead)
        await self._wait()
