"""A client that pushes, moves and deletes tags as fast as it can, until it is told to stop."""

from __future__ import annotations

import contextlib
import random
import threading
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin

import httpx

from tests.integration.hub import Hub, Image
from tests.registry_http.content import OCI_CONFIG, OCTETS, Blob, blob, image
from tests.soak.ledger import Ledger, Tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHARED = "soak/shared"
LATEST = Tag(SHARED, "latest")  # moved by all pushers at once
TAGS = 5  # of each pusher in each repository
CHUNK = 100_000
LARGE = (300_000, 1_200_000)


class Interrupted(NamedTuple):
    """An upload that was cut off: it can be gone on with from where the registry says."""

    repository: str
    location: str
    content: Blob


class Pusher:
    """One client.

    Args:
        number: tells pushers apart.
        url: of the registry.
        seed: of what it does.
        tolerated: what an error answer may say; the request is then in doubt, as if there were no answer.
        large: how many large uploads it begins each time that it works.
    """

    def __init__(self, number: int, url: str, seed: int, tolerated: str | None = None, large: int = 2) -> None:
        self.ledger = Ledger()
        self.latest: dict[str, Image] = {}  # what it may have made LATEST
        self.interrupted: list[Interrupted] = []
        self.acknowledged = 0
        self.resumed = 0
        self.failures: list[str] = []  # answers that no kill explains
        self.broken: list[str] = []  # requests without an answer
        self.refused = 0
        self._tolerated = tolerated
        self._number = number
        self.hub = Hub(url)
        self._random = random.Random(seed)  # noqa: S311 -- no secret
        self._repositories = (f"soak/own{number}", SHARED)
        self._large = large
        self._large_left = 0

    def close(self) -> None:
        self.hub.close()

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop; what breaks off is in doubt."""
        self._large_left = self._large
        while not stop.is_set():
            try:
                self._step()
            except httpx.TransportError as error:
                # The process on the other side was killed; the next connection finds another one, or none.
                self.broken.append(repr(error))
                stop.wait(0.01)
            except AssertionError as error:
                if self._tolerated is not None and self._tolerated in str(error):
                    self.refused += 1
                    continue
                self.failures.append(str(error))
                return

    def _step(self) -> None:
        steps: list[tuple[int, Callable[[], None]]] = [
            (60, self._push),
            (8, self._push_latest),
            (20, self._push_large),
            (20, self._go_on),
            (12, self._untag),
            (8, self._delete),
        ]
        self._random.choices([step for _, step in steps], [weight for weight, _ in steps])[0]()

    def _tag(self) -> Tag:
        return Tag(self._random.choice(self._repositories), f"p{self._number}-{self._random.randrange(TAGS)}")

    def _push(self) -> None:
        tag = self._tag()
        self._push_manifest(tag, self.hub.push_blob(tag.repository, blob(self._random.randrange(3000))))

    def _push_manifest(self, tag: Tag, layer: Blob) -> None:
        config = self.hub.push_blob(tag.repository, blob())
        manifest = image(config.descriptor(OCI_CONFIG), [layer.descriptor()])
        pushed = Image(tag.repository, manifest, (config, layer))
        self.ledger.pushing(tag, pushed)
        self.hub.push(tag.repository, manifest, tag.name)
        self.ledger.pushed(tag, pushed)
        self.acknowledged += 1

    def _push_latest(self) -> None:
        config = self.hub.push_blob(SHARED, blob())
        layer = blob(500)
        self.hub.push_blob(self._repositories[0], layer)
        self.hub.mount(SHARED, self._repositories[0], layer)
        manifest = image(config.descriptor(OCI_CONFIG), [layer.descriptor()])
        self.latest[manifest.digest] = Image(SHARED, manifest, (config, layer))
        self.hub.push(SHARED, manifest, LATEST.name)
        self.acknowledged += 1

    def _push_large(self) -> None:
        if self._large_left == 0:
            return
        self._large_left -= 1
        tag, content = self._tag(), blob(self._random.randint(*LARGE))
        answer = self.hub.ask("POST", f"/v2/{tag.repository}/blobs/uploads/")
        assert answer.status_code == 202, answer.text
        self._send(Interrupted(tag.repository, answer.headers["location"], content), 0)
        self._push_manifest(tag, content)

    def _go_on(self) -> None:
        """Finish an upload that a kill cut off, on whatever worker answers."""
        if not self.interrupted:
            return
        upload = self.interrupted.pop()
        answer: httpx.Response | None = None
        try:
            answer = self.hub.ask("GET", upload.location)
        finally:
            if answer is None:
                self.interrupted.append(upload)
        if answer.status_code == 404:
            # It was finished, but the answer was lost.
            found = self.hub.ask("HEAD", f"/v2/{upload.repository}/blobs/{upload.content.digest}")
            assert found.status_code in {200, 404}, found.status_code
            return
        assert answer.status_code == 204, answer.text
        first, _, last = answer.headers["range"].partition("-")
        assert first == "0"
        self._send(upload._replace(location=answer.headers["location"]), int(last) + 1 if int(last) else 0)
        self.resumed += 1
        self._push_manifest(Tag(upload.repository, f"p{self._number}-0"), upload.content)

    def _send(self, upload: Interrupted, start: int) -> None:
        """Append what is missing, chunk by chunk, and finish."""
        content = upload.content.content
        try:
            while start < len(content):
                chunk = content[start : start + CHUNK]
                answer = self.hub.ask("PATCH", upload.location, content=chunk, headers={"Content-Type": OCTETS})
                assert answer.status_code == 202, answer.text
                start += len(chunk)
                upload = upload._replace(location=answer.headers["location"])
            location = httpx.URL(urljoin(self.hub.url, upload.location)).copy_merge_params(
                {"digest": upload.content.digest}
            )
            answer = self.hub.ask("PUT", str(location))
        except httpx.TransportError:
            self.interrupted.append(upload)
            raise
        assert answer.status_code == 201, answer.text

    def _untag(self) -> None:
        tag = self._tag()
        if None in self.ledger.tags.get(tag, {None}):
            return
        self.ledger.untagging(tag)
        self.hub.delete(f"/v2/{tag.repository}/manifests/{tag.name}")
        self.ledger.untagged(tag)

    def _delete(self) -> None:
        held = [key for key, is_held in self.ledger.held.items() if is_held]
        if not held:
            return
        repository, digest = self._random.choice(held)
        self.ledger.deleting(repository, digest)
        self.hub.delete(f"/v2/{repository}/manifests/{digest}")
        self.ledger.deleted(repository, digest)


@contextlib.contextmanager
def at_work(pushers: list[Pusher]) -> Iterator[None]:
    """Let the pushers work; stop them at the end."""
    stop = threading.Event()
    threads = [threading.Thread(target=pusher.run, args=(stop,)) for pusher in pushers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
