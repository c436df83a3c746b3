"""Storages in directories, with the configurations that name them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from matou.config.distribution import load_configuration
from matou.registry.drivers.filesystem import FilesystemDriver
from matou.registry.files import FileLock, RegistryFiles
from matou.registry.preparation import prepare
from tests.unit.registry.migration.trees import content_of, fill

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from matou.config.distribution import Configuration
    from matou.registry.index.reader import Reader


class Side:
    """A storage in a directory.

    Args:
        root: its directory, made here.
        maintenance: ``storage.maintenance``.
    """

    def __init__(self, root: Path, maintenance: str = "{}") -> None:
        root.mkdir(exist_ok=True)
        self.root = root
        self.files = RegistryFiles(root / "matou")
        self.path = root.with_suffix(".yml")
        self.path.write_text(
            f"{{version: 0.1, storage: {{filesystem: {{rootdirectory: {root}}}, maintenance: {maintenance}}}, "
            "http: {addr: ':1'}}"
        )
        self.configuration: Configuration = load_configuration(self.path, {})

    def fill(self, objects: dict[str, bytes]) -> None:
        asyncio.run(self._with_driver(lambda driver: fill(driver, objects)))

    def content(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}

        async def read(driver: FilesystemDriver) -> None:
            found.update(await content_of(driver))

        asyncio.run(self._with_driver(read))
        return found

    async def _with_driver(self, work: Callable[[FilesystemDriver], Awaitable[None]]) -> None:
        driver = FilesystemDriver(self.root)
        try:
            await work(driver)
        finally:
            await driver.close()

    @contextlib.contextmanager
    def served(self) -> Iterator[Reader]:
        """Make the index, and hold the lock as a registry does."""
        self.files.directory.mkdir(exist_ok=True)
        with (
            contextlib.closing(FileLock(self.files.lock)) as lock,
            prepare(self.configuration, self.files, lock) as reader,
        ):
            yield reader

    def index_anew(self) -> None:
        with self.served():
            pass
