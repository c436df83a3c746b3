"""Rebuilds the index from the storage tree, which is the archive.

Concurrency: the only process that uses the index meanwhile (an exclusive lock sees to it); reads storage with many
requests at once. The new index takes the place of the old one when it is complete; until then, and when the run is cut
off, the old one is as it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from matou.registry.blobs import layout
from matou.registry.blobs.tree import repositories
from matou.registry.blobs.uploads import Uploads
from matou.registry.content.digest import Digest
from matou.registry.content.manifests import parse_manifest
from matou.registry.content.names import is_repository_name, is_tag
from matou.registry.drivers.base import NotFound
from matou.registry.errors import RegistryError
from matou.registry.index import changes, queries
from matou.registry.index.connection import connect
from matou.registry.index.records import NewManifest
from matou.registry.index.replacement import replacement

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

    from matou.registry.drivers.base import Driver

T = TypeVar("T")
S = TypeVar("S")

log = logging.getLogger("matou.registry")

COMPLETE = "complete"  # name in ``meta`` that says that the index has all that storage has
CONCURRENCY = 32  # requests to storage at once


class Absent(Enum):
    """Why a link names nothing."""

    MISSING = "missing"
    BROKEN = "broken"


@dataclass(slots=True)
class Summary:
    """What was found.

    Attributes:
        skipped: what is no part of a tree, broken or not supported, or lacks its content; each is in the log.
    """

    repositories: int = 0
    manifests: int = 0
    tags: int = 0
    blobs: int = 0
    skipped: int = 0


class Reindexer:
    """One run.

    Args:
        driver: the storage.
        path: the index, which is replaced.
        progress: called with what is counted, how many are done, and how many there are (None: not known).
    """

    def __init__(self, driver: Driver, path: Path, progress: Callable[[str, int, int | None], None]) -> None:
        self._driver = driver
        self._path = path
        self._progress = progress
        self._gate = asyncio.Semaphore(CONCURRENCY)
        self._sizes: dict[Digest, int | None] = {}
        self._known: dict[Digest, bool] = {}
        self._claimed: dict[Digest, int] = {}
        self._verified: dict[Digest, bool] = {}
        self._connection: sqlite3.Connection
        self.summary = Summary()

    async def run(self) -> Summary:
        """Rebuild.

        Raises:
            StorageError: storage cannot be read.
            sqlite3.Error: the new index cannot be written.
            OSError: as above.
        """
        names = [name async for name in repositories(self._driver)]
        with replacement(self._path) as connection:
            self._connection = connection
            for done, name in enumerate(names):
                self._progress("repositories", done, len(names))
                if not is_repository_name(name):
                    self._skip(f"the directory {layout.repository(name)!r}: it has a name that no repository can have")
                    continue
                connection.execute("BEGIN")
                await self._repository(name)
                connection.execute("COMMIT")
            self._progress("repositories", len(names), len(names))
            changes.put_meta(connection, COMPLETE, "1")
        return self.summary

    async def _repository(self, name: str) -> None:
        kinds = await self._driver.list(layout.repository(name))
        if layout.LAYERS not in kinds and layout.MANIFESTS not in kinds:
            return  # uploads that were never finished
        self.summary.repositories += 1
        layers = await self._links(name, layout.layers(name))
        revisions = await self._links(name, layout.revisions(name))
        now = changes.now_us()
        connection = self._connection
        connection.execute(queries.ADD_REPOSITORY, {"repository": name, "now": now})
        repository_id = changes.repository_id_of(connection, name)
        values = {"repository_id": repository_id, "now": now}
        await self._read_manifests(revisions)
        await self._read_sizes(layers)
        for digest in layers:
            if self._sizes[digest] is None:
                self._skip(f"layer {digest} of {name}: its content is missing")
            elif not await self._is_whole(digest):
                self._skip(f"layer {digest} of {name}: its content is damaged")
            else:
                connection.execute(queries.LINK_BLOB, values | {"digest": digest})
        held = {digest for digest in revisions if self._known[digest]}
        for digest in held:
            connection.execute(queries.LINK_MANIFEST, values | {"digest": digest})
        await self._tags(name, held, values)

    async def _tags(self, name: str, held: set[Digest], values: dict[str, int | None]) -> None:
        tags = await self._driver.list(layout.tags(name))
        targets = await self._each(tags, lambda tag: self._link(layout.tag_current(name, tag)))
        for done, (tag, digest) in enumerate(zip(tags, targets, strict=True)):
            if done % 1000 == 0:
                self._progress(f"tags of {name}", done, len(tags))
            if not is_tag(tag):
                self._skip(f"the directory {layout.tag_directory(name, tag)!r}: it has a name that no tag can have")
                continue
            if isinstance(digest, Absent):
                self._skip(f"tag {tag} of {name}: its link is {digest.value}")
                continue
            if digest not in held:
                self._skip(f"tag {tag} of {name}: it names {digest}, which is not in the repository")
                continue
            self._connection.execute(queries.PUT_TAG, values | {"tag": tag, "digest": digest})
            self.summary.tags += 1

    async def _links(self, name: str, directory: str) -> list[Digest]:
        """Return the digests below a directory of links that are links indeed."""
        found: list[Digest] = []
        for algorithm in await self._driver.list(directory):
            names = await self._driver.list(f"{directory}/{algorithm}")
            targets = await self._each([f"{directory}/{algorithm}/{name}/link" for name in names], self._link)
            for hexadecimal, target in zip(names, targets, strict=True):
                if target is Absent.MISSING:
                    continue  # Distribution deletes the link and leaves its directory
                digest = _digest(f"{algorithm}:{hexadecimal}")
                if digest is None or target is Absent.BROKEN:
                    self._skip(f"{directory}/{algorithm}/{hexadecimal}: the link is broken")
                elif digest == target or await self._dereference(name, digest, target):
                    found.append(digest)
        return found

    async def _link(self, path: str) -> Digest | Absent:
        try:
            content = await self._driver.get(path)
        except NotFound:
            return Absent.MISSING
        return _digest(content.decode("ascii", errors="replace").strip()) or Absent.BROKEN

    async def _dereference(self, name: str, digest: Digest, target: Digest) -> bool:
        """Store a blob under the digest that a link bears; tell whether it is there.

        Distribution stores a blob that was pushed by its sha512 digest under the sha256 one, which the link names.
        """
        if digest.algorithm == target.algorithm:
            self._skip(f"the link of {digest} in {name}: it names {target}")
            return False
        if await self._size(digest) is not None:
            return True
        try:
            await self._copy(name, target, digest)
        except NotFound:
            self._skip(f"blob {digest} of {name}: the content of {target}, which it is stored as, is missing")
            return False
        except RegistryError as error:
            self._skip(f"blob {digest} of {name}, stored as {target}: {error}")
            return False
        return True

    async def _copy(self, name: str, source: Digest, digest: Digest) -> None:
        content = layout.blob_data(source)
        size = (await self._driver.stat(content)).size
        with ThreadPoolExecutor(1) as executor:
            uploads = Uploads(self._driver, executor)
            state = await uploads.append(await uploads.begin(name, ""), self._driver.read(content, 0, size), size)
            await uploads.finish(state, digest, is_stored=False)

    async def _read_sizes(self, digests: Iterable[Digest]) -> None:
        unknown = [digest for digest in digests if digest not in self._sizes]
        for digest, size in zip(unknown, await self._each(unknown, self._size), strict=True):
            self._sizes[digest] = size
            if size is not None:
                self.summary.blobs += 1
                self._connection.execute(queries.ADD_BLOB, {"digest": digest, "size": size, "now": changes.now_us()})

    async def _size(self, digest: Digest) -> int | None:
        try:
            found = await self._driver.stat(layout.blob_data(digest))
        except NotFound:
            return None
        # A machine that lost its power may have left a file of a name without content.
        is_cut_off = found.size == 0 and digest != Digest.of(b"", digest.algorithm)
        return None if found.is_directory or is_cut_off else found.size

    async def _is_whole(self, digest: Digest) -> bool:
        """Tell whether a blob is what its digest says; it is read only if it has another size than a manifest says."""
        size = self._sizes[digest]
        if size is None or self._claimed.get(digest, size) == size:
            return True
        if digest not in self._verified:
            self._verified[digest] = await self._hash(digest, size) == digest
        return self._verified[digest]

    async def _hash(self, digest: Digest, size: int) -> str:
        running = hashlib.new(digest.algorithm)
        async for piece in self._driver.read(layout.blob_data(digest), 0, size):
            await asyncio.to_thread(running.update, piece)
        return f"{digest.algorithm}:{running.hexdigest()}"

    async def _read_manifests(self, digests: Iterable[Digest]) -> None:
        unknown = [digest for digest in digests if digest not in self._known]
        for digest, manifest in zip(unknown, await self._each(unknown, self._manifest), strict=True):
            self._known[digest] = manifest is not None
            if manifest is not None:
                self.summary.manifests += 1
                changes.add_manifest(self._connection, manifest, changes.now_us())

    async def _manifest(self, digest: Digest) -> NewManifest | None:
        try:
            content = await self._driver.get(layout.blob_data(digest))
        except NotFound:
            self._skip(f"manifest {digest}: its content is missing")
            return None
        if Digest.of(content, digest.algorithm) != digest:
            self._skip(f"manifest {digest}: its content is damaged")
            return None
        try:
            manifest = parse_manifest(content, None)
        except RegistryError as error:
            self._skip(f"manifest {digest}: {error}")
            return None
        for descriptor in (*((manifest.config,) if manifest.config else ()), *manifest.layers):
            self._claimed[descriptor.digest] = descriptor.size
        return NewManifest(
            digest=digest,
            media_type=manifest.media_type,
            payload=content,
            artifact_type=manifest.artifact_type,
            subject=manifest.subject,
            annotations=manifest.annotations,
            blobs=manifest.blob_references,
            required_blobs=(),
            children=manifest.child_references,
            required_children=(),
        )

    async def _each(self, items: list[S], work: Callable[[S], Awaitable[T]]) -> list[T]:
        async def gated(item: S) -> T:
            async with self._gate:
                return await work(item)

        results: list[T] = []
        for first in range(0, len(items), 1000):
            results += await asyncio.gather(*(gated(item) for item in items[first : first + 1000]))
        return results

    def _skip(self, reason: str) -> None:
        self.summary.skipped += 1
        log.warning("reindex: skipped %s", reason)


def _digest(text: str) -> Digest | None:
    try:
        return Digest.parse(text)
    except RegistryError:
        return None


def is_complete(path: Path) -> bool:
    """Tell whether an index was built to its end.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    with contextlib.closing(connect(path, read_only=True)) as connection:
        row = connection.execute(queries.META, {"name": COMPLETE}).fetchone()
    return row is not None and row[0] == "1"
