"""Whether the storage lets the registry do what it will have to do: tried, with probes below ``matou/``.

Nothing is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import logging
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matou.registry.blobs import layout
from matou.registry.drivers.base import NotFound, StorageError, Transient, Unusable
from matou.registry.drivers.factory import Surroundings, open_driver
from matou.registry.drivers.object_driver import ObjectDriver

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from matou.config.distribution import Configuration
    from matou.registry.drivers.base import Driver

log = logging.getLogger("matou.registry")

WRITE = "write an object"
DESCRIBE = "HEAD of an object"
ABSENT = "HEAD of an object that does not exist"
READ = "read an object"
RANGE = "read a part of an object"
LIST = "list objects"
UPLOAD = "upload in one part"
PARTS = "upload in parts"
SWEEP = "look for what was left unfinished"
URL_GET = "GET by a signed URL"
URL_HEAD = "HEAD by a signed URL"
CLOCK = "clock of the storage"
DELETE = "delete objects"
STEPS = (WRITE, DESCRIBE, ABSENT, READ, RANGE, LIST, UPLOAD, PARTS, SWEEP, URL_GET, URL_HEAD, CLOCK, DELETE)

PROBE = b"a probe of Matou, which may be deleted\n"
FIRST_PART = (5 << 20) + 1  # bytes: the least that S3 makes a part of by copying it inside the service
PIECE = 1 << 20  # bytes
PATIENCE = 10.0  # seconds in which a request is repeated
STEP_SECONDS = 60.0
UPLOAD_SECONDS = 600.0
LAG = 10.0  # seconds that a listing may lag behind
LAG_PAUSE = 0.5  # seconds
EVER = 1e9  # seconds: nothing is so old
URL_SECONDS = 300.0
SKEW = 300.0  # seconds between two clocks; services refuse requests, and clients get URLs that are refused, after 900


class Unfit(Exception):  # noqa: N818 -- what the storage is
    """The storage answers, but not as a registry needs it; the message says how, and what to do."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a step.

    Attributes:
        step: one of ``STEPS``.
        problem: what is wrong and what to do about it; "" when all is well.
        note: why it was not tried.
        tried: whether it was.
        ahead: of ``CLOCK``: seconds by which the storage's clock is ahead of this machine's.
    """

    step: str
    problem: str = ""
    note: str = ""
    tried: bool = True
    ahead: float | None = None


class AccessCheck:
    """One walk through everything; it ends early when nothing can succeed.

    Args:
        driver: the storage.
        redirects: whether clients are sent to the storage by signed URLs.
        readonly: whether the registry only reads: nothing is written then.
    """

    def __init__(self, driver: Driver, *, redirects: bool, readonly: bool) -> None:
        self._driver = driver
        self._redirects = redirects
        self._readonly = readonly
        self._home = f"matou/access-{secrets.token_hex(8)}"
        self._sample = f"{self._home}/probe"
        self._sample_size = len(PROBE)
        self._content = PROBE  # of the sample, as far as it is known
        self._ahead: float | None = None
        self._is_unusable = False

    async def run(self) -> AsyncGenerator[Outcome, None]:
        """Yield the outcome of each step when it is known."""
        if self._readonly:
            async for outcome in self._reading():
                yield outcome
            return
        try:
            written = await self._try(WRITE, self._write)
            yield written
            if self._is_unusable:
                return
            async for outcome in self._reading() if written.problem else self._everything():
                yield outcome
        finally:
            with contextlib.suppress(StorageError, TimeoutError):
                async with asyncio.timeout(STEP_SECONDS):
                    await self._driver.delete(self._home)

    async def _everything(self) -> AsyncGenerator[Outcome, None]:
        yield await self._try(DESCRIBE, self._describe)
        yield await self._try(ABSENT, self._describe_nothing)
        yield await self._try(READ, self._read)
        yield await self._try(RANGE, self._read_part)
        yield await self._try(LIST, self._list)
        yield await self._try(UPLOAD, self._upload)
        yield await self._try(PARTS, self._upload_parts, UPLOAD_SECONDS)
        yield await self._try(SWEEP, self._look_for_leftovers)
        async for outcome in self._urls():
            yield outcome
        clock = await self._try(CLOCK, self._compare_clocks)
        yield dataclasses.replace(clock, ahead=self._ahead)
        yield await self._try(DELETE, self._delete)

    async def _reading(self) -> AsyncGenerator[Outcome, None]:
        """Try what needs no right to write, with a blob that is there, if any."""
        self._sample, self._content = "", b""
        yield await self._try(LIST, self._find_blob)  # first, as an answer to HEAD has no room for a reason
        if self._is_unusable:
            return
        yield await self._try(ABSENT, self._describe_nothing)
        if not self._sample:
            for step in (DESCRIBE, RANGE):
                yield Outcome(step, note="there is no blob to try it with", tried=False)
            return
        yield await self._try(DESCRIBE, self._describe)
        yield await self._try(RANGE, self._read_part)
        async for outcome in self._urls():
            yield outcome

    async def _try(self, step: str, work: Callable[[], Awaitable[None]], seconds: float | None = None) -> Outcome:
        seconds = seconds or STEP_SECONDS
        try:
            async with asyncio.timeout(seconds):
                await work()
        except TimeoutError:
            self._is_unusable = True
            return Outcome(step, f"the storage did not answer within {seconds:.0f} s")
        except (StorageError, Unfit) as error:
            self._is_unusable = isinstance(error, Unusable | Transient)
            return Outcome(step, str(error))
        return Outcome(step)

    async def _write(self) -> None:
        await self._driver.put(self._sample, PROBE)

    async def _describe(self) -> None:
        found = await self._driver.stat(self._sample)
        if found.is_directory or found.size != self._sample_size:
            raise Unfit(f"it says {found.size} bytes of an object that has {self._sample_size}; is a proxy in between?")

    async def _describe_nothing(self) -> None:
        try:
            await self._driver.stat(f"{self._home}/nothing")
        except NotFound:
            return
        raise Unfit("it describes an object that does not exist; is a proxy in between?")

    async def _read(self) -> None:
        if await self._driver.get(self._sample) != PROBE:
            raise Unfit("the content is not what was written; is a cache in between?")

    async def _read_part(self) -> None:
        start, length = min(2, self._sample_size), min(7, max(0, self._sample_size - 2))
        part = b"".join([piece async for piece in self._driver.read(self._sample, start, length)])
        if len(part) != length or (self._content and part != self._content[start : start + length]):
            raise Unfit("the part is not what was asked for; does a proxy in between drop Range?")

    async def _list(self) -> None:
        await _check_place(self._driver)
        deadline = time.monotonic() + LAG
        while "probe" not in await self._driver.list(self._home):
            if time.monotonic() > deadline:
                raise Unfit(f"what was written {LAG:.0f} s ago is not listed")
            await asyncio.sleep(LAG_PAUSE)

    async def _find_blob(self) -> None:
        await _check_place(self._driver)
        async for path, found in self._driver.walk(layout.BLOBS):
            self._sample, self._sample_size = path, found.size
            return

    async def _upload(self) -> None:
        upload, target = f"{self._home}/uploads/1", f"{self._home}/whole"
        await self._driver.upload_begin(upload)
        await self._append(upload, 0, [PROBE])
        await self._driver.upload_commit(upload, len(PROBE), target)
        if await self._driver.get(target) != PROBE:
            raise Unfit("the object is not what was uploaded")

    async def _upload_parts(self) -> None:
        upload, target = f"{self._home}/uploads/2", f"{self._home}/parts"
        content = secrets.token_bytes(FIRST_PART)
        pieces = [content[first : first + PIECE] for first in range(0, FIRST_PART, PIECE)]
        await self._driver.upload_begin(upload)
        await self._append(upload, 0, pieces)
        await self._append(upload, FIRST_PART, [PROBE])
        size = FIRST_PART + len(PROBE)
        await self._driver.upload_commit(upload, size, target)
        stored = hashlib.sha256()
        async for piece in self._driver.read(target, 0, size):
            stored.update(piece)
        if stored.digest() != hashlib.sha256(content + PROBE).digest():
            raise Unfit("the object is not what was uploaded")

    async def _append(self, upload: str, offset: int, chunks: list[bytes]) -> None:
        writer = await self._driver.upload_open(upload, offset)
        try:
            await writer.write(chunks)
        finally:
            await writer.close()

    async def _look_for_leftovers(self) -> None:
        await self._driver.sweep(EVER)

    async def _urls(self) -> AsyncGenerator[Outcome, None]:
        for step, method in ((URL_GET, "GET"), (URL_HEAD, "HEAD")):
            if not self._redirects:
                yield Outcome(step, note="storage.redirect.disable is true: clients get no URLs", tried=False)
                continue
            try:
                url = await self._driver.url(self._sample, method, URL_SECONDS)
            except StorageError as error:
                yield Outcome(step, str(error))
                continue
            if url is None:
                yield Outcome(step, note="the storage has none: blobs go through the registry", tried=False)
            else:
                yield await self._fetched(step, url, method)

    async def _fetched(self, step: str, url: str, method: str) -> Outcome:
        from matou.registry.signed_urls import fetch  # noqa: PLC0415 -- loads aiohttp, which a start does not need

        async def work() -> None:
            problem = await fetch(url, method, self._sample_size, self._content)
            if problem:
                raise Unfit(f"{problem}; or set storage.redirect.disable: true")

        return await self._try(step, work)

    async def _compare_clocks(self) -> None:
        path = f"{self._home}/clock"
        before = time.time()
        await self._driver.put(path, b"")
        after = time.time()
        self._ahead = _ahead((await self._driver.stat(path)).modified, before, after)
        if abs(self._ahead) > SKEW:
            raise Unfit(f"it is {_skewed(self._ahead)}")

    async def _delete(self) -> None:
        await self._driver.delete(self._home)
        deadline = time.monotonic() + LAG
        while [path async for path, _ in self._driver.walk(self._home)]:
            if time.monotonic() > deadline:
                raise Unfit(f"what was deleted {LAG:.0f} s ago is still listed")
            await asyncio.sleep(LAG_PAUSE)


async def check_at_start(driver: Driver, *, readonly: bool) -> None:
    """Try the least that a registry needs: to list and describe, and unless it only reads, to write and delete.

    A clock that is wrong, and that the storage does not mind, is a line in the log.

    Raises:
        StorageError: something is refused or fails; the message says what and what to do.
    """
    await _check_place(driver)
    home = f"matou/access-{secrets.token_hex(8)}"
    if readonly:
        await driver.list(layout.ROOT)
        with contextlib.suppress(NotFound):
            await driver.stat(f"{home}/nothing")
        return
    try:
        before = time.time()
        await driver.put(f"{home}/probe", PROBE, durable=False)
        after = time.time()
        ahead = _ahead((await driver.stat(f"{home}/probe")).modified, before, after)
        if abs(ahead) > SKEW:
            log.warning("the clock of the storage is %s", _skewed(ahead))
        await driver.list(home)
    except BaseException:
        with contextlib.suppress(StorageError):
            await driver.delete(home)
        raise
    await driver.delete(home)


def _ahead(modified: float, before: float, after: float) -> float:
    """Return the seconds by which the storage's clock is ahead of ours, as far as that is certain.

    Args:
        modified: when it says that something was written, perhaps rounded down to seconds.
        before: our time when writing began.
        after: our time when it was done.
    """
    return modified - after if modified > after else min(0.0, modified + 1 - before)


def _skewed(ahead: float) -> str:
    return (
        f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's; have this machine's set by NTP "
        "(chronyd, systemd-timesyncd)"
    )


async def _check_place(driver: Driver) -> None:
    """Find out whether the configuration points where the data is, as far as the driver can tell."""
    if isinstance(driver, ObjectDriver):
        await driver.check()


async def try_storage(configuration: Configuration, show: Callable[[Outcome], None] | None) -> list[Outcome]:
    """Walk through everything in the storage of a configuration; return the outcomes.

    Args:
        configuration: of the registry.
        show: is told of each when it is known.

    Raises:
        StorageError: the driver cannot be opened.
    """
    storage = configuration.storage
    driver = open_driver(configuration, Surroundings(patience=PATIENCE))
    outcomes = []
    try:
        check = AccessCheck(
            driver, redirects=not storage.redirect.disable, readonly=storage.maintenance.readonly.enabled
        )
        async with contextlib.aclosing(check.run()) as steps:
            async for outcome in steps:
                outcomes.append(outcome)
                if show is not None:
                    show(outcome)
    finally:
        await driver.close()
    return outcomes
