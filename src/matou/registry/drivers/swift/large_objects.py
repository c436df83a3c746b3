"""Blobs of several segments: how they are made, and what they refer to.

A static large object names its segments; Swift verifies each when it is made. Where a cluster has none, blobs become
dynamic ones, as Distribution's are.

Segments lie under the name of their upload, which knows nothing of the blob that they become, and stay there. So that
nobody deletes the segments of a blob together with its upload:

1. whoever makes the manifest first writes the upload's claim, then makes sure that the upload still exists;
2. whoever deletes an upload first deletes ``startedat``, then looks for the claim, and leaves claimed segments alone.

At least one of two at the same time sees the other. What is left without need, the sweep finds.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from matou.registry.concurrency import each, for_each
from matou.registry.drivers.base import NotFound, StorageError, Transient
from matou.registry.drivers.object_driver import STAGING
from matou.registry.drivers.swift import naming
from matou.registry.drivers.swift.connection import NEWEST
from matou.registry.drivers.swift.description import NOT_FOUND, SETTLING, SETTLING_PAUSE, described
from matou.registry.drivers.swift.failures import failure
from matou.registry.drivers.upload_segments import STARTED_AT

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from matou.registry.drivers.object_store import Segment
    from matou.registry.drivers.swift.connection import Answer, Connection
    from matou.registry.drivers.swift.naming import Naming

MANIFESTS_AT_ONCE = 2  # of one blob
CREATED_ALREADY = 412  # Precondition Failed
BAD_REQUEST = 400
ACCEPTED = 202
MANIFESTS = {"multipart-manifest": "get"}
CONTENT_TYPE = "application/octet-stream"


class Reference(NamedTuple):
    """What a large object consists of.

    Attributes:
        names: of the objects in its container, when it is a static one; parts that are manifests among them.
        prefix: of their names, when it is a dynamic one.
    """

    names: Collection[str] = ()
    prefix: str = ""

    def __contains__(self, name: object) -> bool:
        """Tell whether an object is a part of it."""
        return name in self.names or bool(self.prefix and isinstance(name, str) and name.startswith(self.prefix))


class LargeObjects:
    """The large objects of a container.

    Args:
        connection: to it.
        names: of objects in it.
    """

    def __init__(self, connection: Connection, names: Naming) -> None:
        self._connection = connection
        self._names = names

    async def make(self, segments: Sequence[Segment], key: str) -> None:
        """Make one object of segments of one upload, which stay.

        Args:
            segments: in order; at least one.
            key: of the object, which is replaced.

        Raises:
            NotFound: a segment does not exist, the upload was cancelled, or it has become another blob.
            StorageError: as for ``Connection.send``.
        """
        upload = naming.upload_of(segments[0].key)
        await self._claim(upload, key)
        if not await self.exists(upload):
            raise NotFound(f"the upload {upload} was cancelled")
        limit = (await self._connection.open()).cluster.manifest_segments
        if not limit:
            await self._make_dynamic(upload, segments, key)
            return
        level = 0
        while len(segments) > limit:
            segments = await self._parts(upload, level, segments, limit)
            level += 1
        await self._put_manifest(segments, key)

    async def exists(self, upload: str) -> bool:
        """Tell whether an upload goes on. Of content that is staged only its writer knows; it says yes."""
        if is_staged(upload):
            return True
        name = self._names.name(f"{upload}/{STARTED_AT}")
        found = await self._connection.send("HEAD", name, headers=NEWEST, permitted=[NOT_FOUND])
        return found.status != NOT_FOUND

    async def claimed(self, upload: str) -> str | None:
        """Return the key of the blob that an upload's segments belong to, or were meant for; None when unclaimed."""
        name = self._names.name(naming.claim_of(upload))
        found = await self._connection.send("GET", name, headers=NEWEST, permitted=[NOT_FOUND])
        return None if found.status == NOT_FOUND else found.body.decode()

    async def _claim(self, upload: str, key: str) -> None:
        headers = {"If-None-Match": "*", "Content-Type": naming.claim_type(key)}
        name = self._names.name(naming.claim_of(upload))
        put = await self._connection.send(
            "PUT", name, headers=headers, body=[key.encode()], permitted=[CREATED_ALREADY]
        )
        # A commit that was cut off may be repeated, but two blobs never share segments.
        if put.status == CREATED_ALREADY and await self.claimed(upload) != key:
            raise NotFound(f"the upload {upload} has become another blob: begin a new one")

    async def _parts(self, upload: str, level: int, segments: Sequence[Segment], limit: int) -> list[Segment]:
        """Make manifests of as many segments as one may have; return those manifests."""
        parts: list[tuple[Sequence[Segment], Segment]] = []
        for first in range(0, len(segments), limit):
            chosen = segments[first : first + limit]
            key = naming.part_of(upload, level, len(parts))
            parts.append((chosen, type(chosen[0])(key, sum(segment.size for segment in chosen))))
        await for_each(each(parts), lambda part: self._put_manifest(part[0], part[1].key), MANIFESTS_AT_ONCE)
        return [part for _, part in parts]

    async def _put_manifest(self, segments: Sequence[Segment], key: str) -> None:
        container = self._names.container
        manifest = [
            {"path": f"/{container}/{self._names.name(segment.key)}", "size_bytes": segment.size}
            for segment in segments
        ]
        name = self._names.name(key)

        def check(answer: Answer) -> None:
            if answer.status in (ACCEPTED, BAD_REQUEST):
                self._verify_made(f"PUT of the manifest {name}", answer)

        # With heartbeats the answer begins before Swift has looked at a thousand segments.
        await self._connection.send(
            "PUT",
            name,
            query={"multipart-manifest": "put", "heartbeat": "on"},
            headers={"Accept": "application/json", "Content-Type": CONTENT_TYPE},
            body=[json.dumps(manifest).encode()],
            permitted=[BAD_REQUEST],
            check=check,
        )

    def _verify_made(self, what: str, answer: Answer) -> None:
        """Read the answer to a manifest, whose status is in its body."""
        told = outcome(answer.body)
        status = answer.status if answer.status == BAD_REQUEST else told.status
        if status < 300:  # noqa: PLR2004 -- success
            return
        missing = [name for name, reason in told.errors if reason.startswith(str(NOT_FOUND))]
        if missing:
            raise NotFound(f"{what}: the segment {missing[0]} does not exist")
        reasons = "; ".join(f"{name}: {reason}" for name, reason in told.errors[:1])
        raise failure(self._connection.parameters, what, status, {}, reasons)

    async def _make_dynamic(self, upload: str, segments: Sequence[Segment], key: str) -> None:
        """Make a dynamic large object; it has all that lies under its prefix, so nothing else may be there."""
        prefix = self._names.name(naming.segment_prefix(upload) + naming.DATA)
        wanted = {self._names.name(segment.key) for segment in segments}
        async for page in self._connection.pages(prefix):
            for item in page.objects:
                if item.name not in wanted:
                    await self._connection.send("DELETE", item.name, permitted=[NOT_FOUND])
        name = self._names.name(key)
        manifest = quote(f"{self._names.container}/{prefix}")
        await self._connection.send("PUT", name, headers={"X-Object-Manifest": manifest, "Content-Type": CONTENT_TYPE})
        size = sum(segment.size for segment in segments)
        deadline = time.monotonic() + SETTLING
        while described((await self._connection.send("HEAD", name)).headers).size != size:
            if time.monotonic() >= deadline:
                raise StorageError(f"the segments of {name} did not show up within {SETTLING:.0f} s; push it again")
            await asyncio.sleep(SETTLING_PAUSE)

    async def reference(self, key: str) -> Reference | None:
        """Return what an object consists of: nothing when it is no large one, None when it does not exist."""
        name = self._names.name(key)
        answer = await self._connection.send("HEAD", name, headers=NEWEST, permitted=[NOT_FOUND])
        if answer.status == NOT_FOUND:
            return None
        found = described(answer.headers)
        if found.manifest is not None:
            container, prefix = found.manifest
            return Reference(prefix=prefix) if container == self._names.container else Reference()
        names: set[str] = set()
        if found.is_static:
            await self._gather(name, names)
        return Reference(names)

    async def _gather(self, name: str, names: set[str]) -> None:
        for entry in await self.manifest(name):
            container, _, segment = entry["name"].lstrip("/").partition("/")
            if container != self._names.container or segment in names:
                continue
            names.add(segment)
            if entry.get("sub_slo"):
                await self._gather(segment, names)

    async def manifest(self, name: str) -> list[dict[str, Any]]:
        """Return what a static large object names; nothing when it is gone."""
        answer = await self._connection.send("GET", name, query=MANIFESTS, headers=NEWEST, permitted=[NOT_FOUND])
        if answer.status == NOT_FOUND:
            return []
        if not described(answer.headers).is_static:
            raise Transient(f"{name} was replaced meanwhile")
        entries: list[dict[str, Any]] = json.loads(answer.body)
        return entries


def is_staged(upload: str) -> bool:
    """Tell whether an upload is content that is being written in one go."""
    return upload.startswith(f"{STAGING}/")


class Outcome(NamedTuple):
    """What the body of an answer says of many objects.

    Attributes:
        status: HTTP's.
        errors: names, and the status line of each.
    """

    status: int
    errors: list[tuple[str, str]]


def outcome(body: bytes) -> Outcome:
    """Read an answer of Swift's bulk or manifest operations.

    Raises:
        Transient: it was cut off.
    """
    try:
        told = json.loads(body)
        status = str(told.get("Response Status", "200"))
        return Outcome(int(status[:3]), [(str(name), str(reason)) for name, reason in told.get("Errors", [])])
    except (ValueError, AttributeError) as error:
        raise Transient("Swift's answer on several objects was cut off") from error
