"""The stand-in as tests start it: SeaweedFS in a process, the front in a thread of the tests."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.servers.oss.front import Front
from tests.servers.oss.signatures import Key
from tests.servers.ports import free_port
from tests.servers.seaweedfs import BUCKET, PART, running_seaweedfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS = 30.0
REGION = "cn-hangzhou"
SECOND_BUCKET = "second"
ACCESS_KEY, SECRET_KEY = "LTAItests", "secret-of-the-tests"
READER_KEY, READER_SECRET = "LTAIreader", "secret-of-a-reader"
TEMPORARY_KEY, TEMPORARY_SECRET, TOKEN = "STS.tests", "secret-for-a-while", "token+of/the=tests"
READING = frozenset(("GetObject", "HeadObject", "ListObjectsV2", "ListMultipartUploads"))

__all__ = ["BUCKET", "OssServer", "running_oss"]


class OssServer:
    """A front that runs in a thread.

    Args:
        seaweedfs: S3 endpoint of its objects.
    """

    def __init__(self, seaweedfs: str) -> None:
        self.port = free_port()
        self.front = Front(
            seaweedfs,
            {
                ACCESS_KEY: Key(SECRET_KEY),
                READER_KEY: Key(READER_SECRET, operations=READING),
                TEMPORARY_KEY: Key(TEMPORARY_SECRET, TOKEN),
            },
            REGION,
            (BUCKET, SECOND_BUCKET),
        )
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="oss")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it takes requests."""
        self._thread.start()
        assert self._ready.wait(START_SECONDS)

    def stop(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        runner = web.AppRunner(await self.front.application(), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
            self._ready.set()
            await self._stopping.wait()
        finally:
            await runner.cleanup()


def section(server: OssServer, **given: Any) -> dict[str, Any]:
    """Return ``storage.oss`` for an empty root directory of the bucket, with the smallest parts there are."""
    known = {
        "accesskeyid": ACCESS_KEY,
        "accesskeysecret": SECRET_KEY,
        "region": f"oss-{REGION}",
        "bucket": BUCKET,
        "endpoint": server.url,
        "rootdirectory": f"/{secrets.token_hex(8)}",
        "chunksize": PART,
    }
    return known | given


@contextlib.contextmanager
def running_oss(folder: Path) -> Iterator[OssServer]:
    """Yield a running stand-in; end it afterwards."""
    with running_seaweedfs(folder) as seaweedfs:
        server = OssServer(seaweedfs.url)
        server.start()
        try:
            yield server
        finally:
            server.stop()
