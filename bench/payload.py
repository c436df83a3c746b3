"""Blobs to push: one file of random bytes for all of them, and a tail of a few bytes that makes each its own."""

from __future__ import annotations

import hashlib
import mmap
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from bench.settings import MIB

if TYPE_CHECKING:
    from pathlib import Path

TAIL = 32


@dataclass(frozen=True)
class Payload:
    """A blob: the first ``file_bytes`` of the shared file, then ``tail``."""

    descriptor: int
    mapped: mmap.mmap
    file_bytes: int
    tail: bytes
    digest: str

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.file_bytes + len(self.tail)


class PayloadFactory:
    """Makes distinct blobs without hashing the shared bytes twice; a context manager that closes the file."""

    def __init__(self, path: Path, largest: int) -> None:
        with path.open("wb") as file:
            for _ in range(largest):
                file.write(os.urandom(MIB))
        self._descriptor = os.open(path, os.O_RDONLY)
        self._mapped = mmap.mmap(self._descriptor, largest * MIB, prot=mmap.PROT_READ)
        self._states: dict[int, hashlib._Hash] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._mapped.close()
        os.close(self._descriptor)

    def blob(self, size: int) -> Payload:
        """Return a new blob of ``size`` MiB."""
        shared = size * MIB - TAIL
        if size not in self._states:
            with memoryview(self._mapped) as view, view[:shared] as part:
                self._states[size] = hashlib.sha256(part)
        state = self._states[size].copy()
        tail = secrets.token_bytes(TAIL)
        state.update(tail)
        return Payload(self._descriptor, self._mapped, shared, tail, f"sha256:{state.hexdigest()}")
