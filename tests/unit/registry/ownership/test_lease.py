from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from matou.registry.errors import RegistryError
from matou.registry.ownership.lease import LEASE, Lease

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_all_processes_of_a_machine_see_one_lease_and_it_ends(tmp_path: Path, clock: Clock) -> None:
    one, other = Lease(tmp_path / "lease", clock), Lease(tmp_path / "lease", clock)
    assert (other.is_good, other.is_pending) == (False, True)
    one.grant(clock.now)
    assert (other.is_good, other.is_pending) == (True, False)
    other.check()
    clock.now += LEASE - 1
    assert other.age == LEASE - 1
    other.check()
    clock.now += 1
    with pytest.raises(RegistryError, match="could not renew its claim") as caught:
        other.check()
    assert caught.value.status == 503
    one.grant(clock.now)
    other.check()
    one.close()
    other.close()


def test_a_lease_that_was_lost_stays_lost_until_a_start(tmp_path: Path, clock: Clock) -> None:
    lease = Lease(tmp_path / "lease", clock)
    lease.grant(clock.now)
    lease.lose()
    for _ in range(2):
        assert (lease.is_lost, lease.is_pending) == (True, False)
        with pytest.raises(RegistryError, match="another registry serves this storage now"):
            lease.check()
        lease.close()
        lease = Lease(tmp_path / "lease", clock)
    lease.reset()
    assert (lease.is_lost, lease.is_pending) == (False, True)
    lease.close()


@pytest.mark.parametrize("content", [b"", b"\xff" * 32, struct.pack("4d", 1e9, 1e9, 0, 0)])
def test_what_was_written_before_a_restart_of_the_machine_does_not_count(
    tmp_path: Path, clock: Clock, content: bytes
) -> None:
    (tmp_path / "lease").write_bytes(content)
    lease = Lease(tmp_path / "lease", clock)
    assert lease.is_pending
    assert not lease.is_good
    assert lease.age > 1e9
    lease.close()
