"""Rebuilds the index from the storage tree, which is the archive.

Concurrency: the only process that uses the index meanwhile (an exclusive lock sees to it). Many repositories are read
at once; what is found is recorded without waiting in between. The new index takes the place of the old one when it is
complete; until then, and when the run is cut off, the old one is as it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from matou.registry.blobs import layout
from matou.registry.blobs.tree import directories
from matou.registry.blobs.uploads import Uploads
from matou.registry.concurrency import Once, each, for_each, results
from matou.registry.content.digest import DEFAULT_ALGORITHM, Digest
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
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from matou.registry.drivers.base import Driver, Stat

T = TypeVar("T")
S = TypeVar("S")

log = logging.getLogger("matou.registry")

COMPLETE = "complete"  # name in ``meta`` that says that the index has all that storage has
CONCURRENCY = 32  # requests to storage at once, and repositories that are read at once
LINK = re.compile(r"/[^/]+/[^/]+/link")
BATCH = 256  # links of a repository that wait for their turn


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
        finish: called with the new index before it is complete.
    """

    def __init__(
        self,
        driver: Driver,
        path: Path,
        progress: Callable[[str, int, int | None], None],
        finish: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        self._driver = driver
        self._path = path
        self._progress = progress
        self._finish = finish
        self._gate = asyncio.Semaphore(CONCURRENCY)
        self._sizes: Once[Digest, int | None] = Once(self._size)
        self._manifests: Once[Digest, bool] = Once(self._add_manifest)
        self._whole: Once[Digest, bool] = Once(self._is_what_it_says)
        self._claimed: dict[Digest, int] = {}
        self._connection: sqlite3.Connection
        self.summary = Summary()

    async def run(self) -> Summary:
        """Rebuild.

        Raises:
            StorageError: storage cannot be read.
            sqlite3.Error: the new index cannot be written.
            OSError: as above.
        """
        # What has neither part has uploads that were never finished, and nothing else.
        held = {layout.LAYERS, layout.MANIFESTS}
        names = sorted([found.name async for found in directories(self._driver) if held.intersection(found.parts)])
        if self._driver.shared and names:
            await self._list_sizes()
        with replacement(self._path) as connection:
            self._connection = connection
            connection.execute("BEGIN")
            done = 0

            async def index(name: str) -> None:
                nonlocal done
                await self._repository(name)
                # What others have recorded so far is committed, too: the index counts when all of it is there.
                connection.execute("COMMIT")
                connection.execute("BEGIN")
                done += 1
                self._progress("repositories", done, len(names))

            await for_each(each(names), index, CONCURRENCY)
            if self._finish is not None:
                self._finish(connection)
            changes.put_meta(connection, COMPLETE, "1")
            connection.execute("COMMIT")
        return self.summary

    async def _list_sizes(self) -> None:
        """Find out the sizes of all blobs by listing them: a thousand a request, where a HEAD tells one."""

        async def read(directory: str) -> None:
            async for path, found in self._driver.walk(directory):
                digest = layout.digest_of_blob(path)
                if digest is not None:
                    self._sizes.known[digest] = _usable_size(digest, found)
                    self._progress("blobs", len(self._sizes.known), None)

        for algorithm in await self._driver.list(layout.BLOBS):
            parts = await self._driver.list(f"{layout.BLOBS}/{algorithm}")
            await for_each(each([f"{layout.BLOBS}/{algorithm}/{part}" for part in parts]), read, CONCURRENCY)

    async def _repository(self, name: str) -> None:
        if not is_repository_name(name):
            self._skip(f"the directory {layout.repository(name)!r}: it has a name that no repository can have")
            return
        self.summary.repositories += 1
        layers = await self._links(name, layout.layers(name))
        revisions = await self._links(name, layout.revisions(name))
        are_good = await self._all(revisions, self._manifests.get)
        held = {digest for digest, is_good in zip(revisions, are_good, strict=True) if is_good}
        sizes = dict(zip(layers, await self._all(layers, self._usable_layer(name)), strict=True))
        tags = await self._tags(name, held)
        now = changes.now_us()
        connection = self._connection
        connection.execute(queries.ADD_REPOSITORY, {"repository": name, "now": now})
        values = {"repository_id": changes.repository_id_of(connection, name), "now": now}
        for digest, size in sizes.items():
            if size is not None:
                added = connection.execute(queries.ADD_BLOB, {"digest": digest, "size": size, "now": now})
                self.summary.blobs += added.rowcount
                connection.execute(queries.LINK_BLOB, values | {"digest": digest})
        for digest in held:
            connection.execute(queries.LINK_MANIFEST, values | {"digest": digest})
        for tag, digest in tags.items():
            connection.execute(queries.PUT_TAG, values | {"tag": tag, "digest": digest})
        self.summary.tags += len(tags)

    async def _tags(self, name: str, held: set[Digest]) -> dict[str, Digest]:
        found: dict[str, Digest] = {}
        tags = await self._driver.list(layout.tags(name))
        for first in range(0, len(tags), BATCH):
            batch = tags[first : first + BATCH]
            self._progress(f"tags of {name}", first, len(tags))
            targets = await self._all(batch, lambda tag: self._link(layout.tag_current(name, tag)))
            for tag, digest in zip(batch, targets, strict=True):
                if not is_tag(tag):
                    self._skip(f"the directory {layout.tag_directory(name, tag)!r}: it has a name that no tag can have")
                elif isinstance(digest, Absent):
                    self._skip(f"tag {tag} of {name}: its link is {digest.value}")
                elif digest not in held:
                    self._skip(f"tag {tag} of {name}: it names {digest}, which is not in the repository")
                else:
                    found[tag] = digest
        return found

    async def _links(self, name: str, directory: str) -> list[Digest]:
        """Return the digests below a directory of links that are links indeed.

        Object storage has a link as a whole or not at all, and Distribution and we let a sha256 link name nothing but
        itself. So one of the right size is not read there. A file may have any content after a loss of power.
        """
        found: list[Digest] = []
        unread: list[str] = []
        async for path, content in self._driver.walk(directory):
            if LINK.fullmatch(path, len(directory)) is None:
                continue  # signatures of Distribution 2.0, say, which lie below their manifests
            digest = _digest_of_link(path)
            if self._driver.shared and digest is not None and _names_itself(digest, content.size):
                found.append(digest)
            else:
                unread.append(path)
        for path, target in zip(unread, await self._all(unread, self._link), strict=True):
            digest = _digest_of_link(path)
            if target is Absent.MISSING:
                continue
            if digest is None or target is Absent.BROKEN:
                self._skip(f"{path.removesuffix('/link')}: the link is broken")
            elif digest == target or await self._dereference(name, digest, target):
                found.append(digest)
        return found

    async def _link(self, path: str) -> Digest | Absent:
        async with self._gate:
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
        if await self._sizes.get(digest) is not None:
            return True
        try:
            await self._copy(name, target, digest)
        except NotFound:
            self._skip(f"blob {digest} of {name}: the content of {target}, which it is stored as, is missing")
            return False
        except RegistryError as error:
            self._skip(f"blob {digest} of {name}, stored as {target}: {error}")
            return False
        self._sizes.known.pop(digest, None)
        return True

    async def _copy(self, name: str, source: Digest, digest: Digest) -> None:
        content = layout.blob_data(source)
        size = (await self._driver.stat(content)).size
        with ThreadPoolExecutor(1) as executor:
            uploads = Uploads(self._driver, executor)
            state = await uploads.append(await uploads.begin(name, ""), self._driver.read(content, 0, size), size)
            await uploads.finish(state, digest, is_stored=False)

    def _usable_layer(self, name: str) -> Callable[[Digest], Awaitable[int | None]]:
        """Return what tells the size of a layer of a repository; None for one that cannot be used."""

        async def size_of(digest: Digest) -> int | None:
            size = await self._sizes.get(digest)
            if size is None:
                self._skip(f"layer {digest} of {name}: its content is missing")
            # It is read only if it has another size than a manifest says.
            elif self._claimed.get(digest, size) != size and not await self._whole.get(digest):
                self._skip(f"layer {digest} of {name}: its content is damaged")
                return None
            return size

        return size_of

    async def _size(self, digest: Digest) -> int | None:
        async with self._gate:
            try:
                return _usable_size(digest, await self._driver.stat(layout.blob_data(digest)))
            except NotFound:
                return None

    async def _is_what_it_says(self, digest: Digest) -> bool:
        running = hashlib.new(digest.algorithm)
        size = await self._sizes.get(digest) or 0
        async with self._gate:
            async for piece in self._driver.read(layout.blob_data(digest), 0, size):
                await asyncio.to_thread(running.update, piece)
        return f"{digest.algorithm}:{running.hexdigest()}" == digest

    async def _add_manifest(self, digest: Digest) -> bool:
        """Record a manifest, in no repository yet; tell whether it can be used."""
        manifest = await self._manifest(digest)
        if manifest is None:
            return False
        self.summary.manifests += 1
        changes.add_manifest(self._connection, manifest, changes.now_us())
        return True

    async def _manifest(self, digest: Digest) -> NewManifest | None:
        try:
            async with self._gate:
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

    async def _all(self, items: list[S], work: Callable[[S], Awaitable[T]]) -> list[T]:
        found: list[T] = []
        for first in range(0, len(items), BATCH):
            found += await results(items[first : first + BATCH], work)
        return found

    def _skip(self, reason: str) -> None:
        self.summary.skipped += 1
        log.warning("reindex: skipped %s", reason)


def _digest(text: str) -> Digest | None:
    try:
        return Digest.parse(text)
    except RegistryError:
        return None


def _digest_of_link(path: str) -> Digest | None:
    """Return the digest that ``.../<algorithm>/<hexadecimal>/link`` stands for."""
    algorithm, hexadecimal = path.split("/")[-3:-1]
    return _digest(f"{algorithm}:{hexadecimal}")


def _names_itself(digest: Digest, size: int) -> bool:
    """Tell whether a link of so many bytes, which bears a digest, holds that one."""
    return digest.algorithm == DEFAULT_ALGORITHM and size == len(digest)


def _usable_size(digest: Digest, found: Stat) -> int | None:
    # A machine that lost its power may have left a file of a name without content.
    is_cut_off = found.size == 0 and digest != Digest.of(b"", digest.algorithm)
    return None if found.is_directory or is_cut_off else found.size


def is_complete(path: Path) -> bool:
    """Tell whether an index was built to its end.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    with contextlib.closing(connect(path, read_only=True)) as connection:
        row = connection.execute(queries.META, {"name": COMPLETE}).fetchone()
    return row is not None and row[0] == "1"
