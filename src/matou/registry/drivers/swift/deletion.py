"""Deleting: content with the segments that it alone has, and segments that no content has.

See ``large_objects`` for the claims of segments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from matou.registry.concurrency import each, for_each
from matou.registry.drivers.swift import naming
from matou.registry.drivers.swift.abandoned import AbandonedSegments, is_upload
from matou.registry.drivers.swift.connection import AT_A_TIME
from matou.registry.drivers.swift.description import NOT_FOUND, described
from matou.registry.drivers.swift.failures import failure
from matou.registry.drivers.swift.large_objects import outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matou.registry.drivers.swift.connection import Answer, Connection
    from matou.registry.drivers.swift.large_objects import LargeObjects
    from matou.registry.drivers.swift.naming import Naming

FEW = 8  # objects that are as quickly deleted one by one
MOST = 1000  # in one request


class Deletion:
    """Deletes in a container.

    Args:
        connection: to it.
        names: of objects in it.
        large: objects of it.
    """

    def __init__(self, connection: Connection, names: Naming, large: LargeObjects) -> None:
        self._connection = connection
        self._names = names
        self._large = large
        self._abandoned = AbandonedSegments(connection, names)

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete content, and segments that no content has."""
        await self._delete_content([key for key in keys if not key.startswith(naming.ALL_SEGMENTS)])
        uploads: dict[str, list[str]] = {}
        for key in keys:
            if key.startswith(naming.SEGMENTS):
                uploads.setdefault(naming.upload_of(key), []).append(key)
        for upload, segments in uploads.items():
            await self.discard(upload, segments)

    async def discard(self, upload: str, keys: Sequence[str]) -> None:
        """Delete segments of an upload that has ended, unless they are claimed: then it is for the sweep to decide.

        Args:
            upload: its path.
            keys: of the segments.
        """
        if naming.claim_of(upload) not in keys and await self._large.claimed(upload) is None:
            await self.delete_objects([self._names.name(key) for key in keys])

    async def _delete_content(self, keys: Sequence[str]) -> None:
        plain: list[str] = []

        async def look(key: str) -> None:
            name = self._names.name(key)
            answer = await self._connection.send("HEAD", name, permitted=[NOT_FOUND])
            if answer.status == NOT_FOUND:
                return
            found = described(answer.headers)
            if found.is_static:
                await self._delete_static(name)
            elif found.manifest is not None:
                await self._delete_dynamic(name, *found.manifest)
            else:
                plain.append(name)

        await for_each(each(keys), look, AT_A_TIME)
        await self.delete_objects(plain)

    async def _delete_static(self, name: str) -> None:
        entries = await self._large.manifest(name)

        def check(answer: Answer) -> None:
            self._verify_deleted(f"DELETE of {name} and its segments", answer)

        await self._connection.send(
            "DELETE",
            name,
            query={"multipart-manifest": "delete"},
            headers={"Accept": "application/json"},
            permitted=[NOT_FOUND],
            check=check,
        )
        for entry in entries[:1]:
            container, _, segment = entry["name"].lstrip("/").partition("/")
            key = self._names.key(segment) or ""
            if container == self._names.container and key.startswith(naming.SEGMENTS):
                claim = self._names.name(naming.claim_of(naming.upload_of(key)))
                await self._connection.send("DELETE", claim, permitted=[NOT_FOUND])

    async def _delete_dynamic(self, name: str, container: str, prefix: str) -> None:
        key = self._names.key(prefix) or ""
        is_ours = container == self._names.container and naming.is_manifest_prefix(key)
        if is_ours and is_upload(name):
            await self._abandoned.note(prefix)
        await self._connection.send("DELETE", name, permitted=[NOT_FOUND])
        if not is_ours or is_upload(name):
            return  # what does not lie where segments lie may be anything
        if key.startswith(naming.SEGMENTS):
            prefix = prefix.removesuffix(naming.DATA)
        await self.delete_objects([item.name async for page in self._connection.pages(prefix) for item in page.objects])

    async def delete_objects(self, names: Sequence[str]) -> None:
        """Delete objects as they are: manifests without their segments."""
        most = min((await self._connection.open()).cluster.bulk_deletes, MOST)
        if len(names) <= FEW or not most:
            await for_each(each(names), self._delete_one, AT_A_TIME)
            return
        for first in range(0, len(names), most):
            await self._delete_many(names[first : first + most])

    async def _delete_one(self, name: str) -> None:
        await self._connection.send("DELETE", name, permitted=[NOT_FOUND])

    async def _delete_many(self, names: Sequence[str]) -> None:
        container = quote(self._names.container)

        def check(answer: Answer) -> None:
            self._verify_deleted(f"DELETE of {names[0]} and {len(names) - 1} others", answer)

        await self._connection.send(
            "POST",
            None,
            query={"bulk-delete": "1"},
            headers={"Accept": "application/json", "Content-Type": "text/plain"},
            body=[f"{container}/{quote(name)}\n".encode() for name in names],
            check=check,
        )

    def _verify_deleted(self, what: str, answer: Answer) -> None:
        """Read the answer to a deletion of many, whose status is in its body."""
        if answer.status == NOT_FOUND or not answer.body.strip():
            return
        told = outcome(answer.body)
        for _, reason in told.errors:
            status = reason.split()[0]
            raise failure(self._connection.parameters, what, int(status) if status.isdecimal() else 500, {}, reason)
        if told.status >= 300 and told.status != NOT_FOUND:  # noqa: PLR2004 -- success
            raise failure(self._connection.parameters, what, told.status, {}, "")
