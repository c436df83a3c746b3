"""Tokens that are not good any more, and what Google refuses: the gcs driver says why."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from matou.registry.drivers.base import NotFound, StorageError, Transient
from tests.drivers.conformance import read, run
from tests.drivers.gcs_driver import opened
from tests.servers.gcs import BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable

    from matou.registry.drivers.base import Driver
    from tests.drivers.conformance import Opening
    from tests.servers.gcs import GcsServer


@pytest.fixture
def opening(gcs: GcsServer) -> Opening:
    root = f"/{secrets.token_hex(8)}"
    return lambda: opened(gcs, rootdirectory=root)


def test_one_token_serves_many_requests(gcs: GcsServer, opening: Opening) -> None:
    gcs.accounts.grants.clear()

    async def scenario(driver: Driver) -> None:
        await asyncio.gather(*(driver.put(f"a/{number}", b"") for number in range(20)))
        await driver.list("a")

    run(opening, scenario)
    assert len(gcs.accounts.grants) == 1


def test_a_token_that_is_not_accepted_any_more_is_replaced(gcs: GcsServer, opening: Opening) -> None:
    async def scenario(driver: Driver) -> None:
        await driver.put("a", b"1")
        gcs.accounts.grants.clear()
        await asyncio.gather(*(driver.put(f"b/{number}", b"") for number in range(10)))
        assert await driver.get("a") == b"1"

    run(opening, scenario)


def test_tokens_are_replaced_before_they_expire(gcs: GcsServer, opening: Opening) -> None:
    gcs.accounts.life = 1
    gcs.accounts.grants.clear()

    async def scenario(driver: Driver) -> None:
        await driver.put("a", b"1")
        for _ in range(12):
            await asyncio.sleep(0.2)
            assert await driver.get("a") == b"1"

    run(opening, scenario)
    assert len(gcs.accounts.grants) >= 3
    # Nobody was refused: each request would have been sent twice then.
    assert len([line for line in gcs.front.requests if "alt=media" in line]) == 12


@pytest.mark.parametrize(
    ("permission", "operation"),
    [
        ("storage.objects.get", lambda driver: driver.get("there")),
        ("storage.objects.get", lambda driver: driver.stat("there")),
        ("storage.objects.get", lambda driver: read(driver, "there", 0, 1)),
        ("storage.objects.create", lambda driver: driver.put("new", b"")),
        ("storage.objects.delete", lambda driver: driver.put("there", b"")),
        ("storage.objects.delete", lambda driver: driver.delete("there")),
        ("storage.objects.list", lambda driver: driver.list("")),
    ],
)
def test_a_missing_permission_is_named(
    gcs: GcsServer, opening: Opening, permission: str, operation: Callable[[Driver], Any]
) -> None:
    async def scenario(driver: Driver) -> None:
        await driver.put("there", b"1")
        gcs.front.denied.add(permission)
        with pytest.raises(StorageError) as raised:
            await operation(driver)
        assert f"lacks {permission} on the bucket {BUCKET}: grant it the role" in str(raised.value)
        assert "\n" not in str(raised.value)

    run(opening, scenario)


@pytest.mark.parametrize(
    "operation",
    [
        lambda driver: driver.get("a"),
        lambda driver: driver.stat("a"),
        lambda driver: read(driver, "a", 0, 1),
        lambda driver: driver.put("a", b""),
        lambda driver: driver.list(""),
        lambda driver: driver.delete("a"),
    ],
    ids=["get", "stat", "read", "put", "list", "delete"],
)
def test_a_missing_bucket_is_named(gcs: GcsServer, operation: Callable[[Driver], Any]) -> None:
    async def scenario(driver: Driver) -> None:
        with pytest.raises(
            StorageError, match=r"the bucket nobodys does not exist: look at storage\.gcs\.bucket"
        ) as raised:
            await operation(driver)
        assert not isinstance(raised.value, NotFound)

    run(lambda: opened(gcs, bucket="nobodys"), scenario)


def _late_clock(gcs: GcsServer) -> None:
    gcs.accounts.clock = 7200


def _disabled(gcs: GcsServer) -> None:
    gcs.account.is_disabled = True


@pytest.mark.parametrize(
    ("change", "changes", "expected"),
    [
        (_late_clock, {}, "this machine's clock is wrong"),
        (_disabled, {}, "is disabled: enable it in IAM"),
        (None, {"private_key_id": "0" * 40}, "the key is not, or no longer, the account's"),
        (None, {"client_email": "gone@matou-tests.iam.gserviceaccount.com"}, "was deleted"),
    ],
    ids=["clock", "disabled", "key", "account"],
)
def test_an_account_that_gets_no_token_is_told_why(
    gcs: GcsServer, change: Callable[[GcsServer], None] | None, changes: dict[str, str], expected: str
) -> None:
    if change is not None:
        change(gcs)

    async def scenario(driver: Driver) -> None:
        with pytest.raises(StorageError) as raised:
            await driver.get("a")
        assert not isinstance(raised.value, Transient)
        assert "invalid_grant" in str(raised.value)
        assert expected in str(raised.value)
        assert "\n" not in str(raised.value)

    run(lambda: opened(gcs, keyfile="", credentials={**gcs.key, **changes}), scenario)
