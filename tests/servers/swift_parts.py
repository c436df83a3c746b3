"""What a Swift of tests has of ours: its rings, and a cache in the proxy's process instead of memcached.

Runs in Swift's own processes, never in that of the tests: Swift patches the standard library.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

PART_POWER = 6


class Cache:
    """What Swift asks of memcached, for a single proxy process. Green threads change only at input and output."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Any, float]] = {}

    def set(self, key: str, value: Any, *_: Any, time: float = 0, **__: Any) -> None:
        self._entries[key] = value, _deadline(time)

    def get(self, key: str, *_: Any, **__: Any) -> Any:
        value, deadline = self._entries.get(key, (None, 0.0))
        return None if deadline and deadline < _now() else value

    def incr(self, key: str, delta: int = 1, time: float = 0) -> int:
        value = max(0, int(self.get(key) or 0) + delta)
        self.set(key, value, time=time)
        return value

    def decr(self, key: str, delta: int = 1, time: float = 0) -> int:
        return self.incr(key, -delta, time)

    def delete(self, key: str, *_: Any, **__: Any) -> None:
        self._entries.pop(key, None)

    def set_multi(self, mapping: Mapping[str, Any], *_: Any, time: float = 0, **__: Any) -> None:
        for key, value in mapping.items():
            self.set(key, value, time=time)

    def get_multi(self, keys: Iterable[str], *_: Any, **__: Any) -> list[Any]:
        return [self.get(key) for key in keys]


def _now() -> float:
    return time.time()


def _deadline(seconds: float) -> float:
    return _now() + seconds if seconds else 0.0


def filter_factory(_: object, **__: object) -> Callable[[Application], Application]:
    """Make the filter for paste.deploy."""
    cache = Cache()

    def wrap(application: Application) -> Application:
        def call(environment: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            environment["swift.cache"] = cache
            return application(environment, start_response)

        return call

    return wrap


def build_rings(folder: Path, ports: Mapping[str, int]) -> None:
    """Write a ring of one device for each server.

    Args:
        folder: of the configuration.
        ports: of the account, container and object servers.
    """
    from swift.common.ring.builder import RingBuilder  # noqa: PLC0415 -- never in the process of the tests

    for name, port in ports.items():
        place = {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "d1", "weight": 1.0, "meta": ""}
        builder = RingBuilder(PART_POWER, 1, 0)
        builder.add_dev({"id": 0, **place, "replication_ip": "127.0.0.1", "replication_port": port})
        builder.rebalance()
        builder.get_ring().save(str(folder / f"{name}.ring.gz"))


if __name__ == "__main__":
    _, rings, *servers = sys.argv
    build_rings(Path(rings), {name: int(port) for name, _, port in (server.partition("=") for server in servers)})
