from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from google.auth import exceptions
from google.auth.credentials import Credentials

from matou.registry.drivers.base import Transient, Unusable
from matou.registry.drivers.gcs import tokens
from matou.registry.drivers.gcs.credentials import CredentialSource
from matou.registry.drivers.gcs.tokens import Tokens, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

LIFE = 3600.0


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC).timestamp()

    def time(self) -> float:
        return self.now


class Account(Credentials):
    """Credentials whose token service is this object."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.clock = clock
        self.fetched = 0
        self.failure: Exception | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.lives: float | None = LIFE

    def refresh(self, request: Any) -> None:  # noqa: ARG002 -- the library's argument
        assert self.may_answer.wait(60)
        if self.failure is not None:
            raise self.failure
        self.fetched += 1
        self.token = f"t{self.fetched}"
        if self.lives is not None:
            self.expiry = datetime.fromtimestamp(self.clock.now, UTC).replace(tzinfo=None) + timedelta(
                seconds=self.lives
            )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(tokens, "time", clock)
    return clock


@pytest.fixture
def account(clock: Clock) -> Account:
    return Account(clock)


def run(account: Account, scenario: Callable[[Tokens], Coroutine[None, None, None]]) -> None:
    async def whole() -> None:
        held = Tokens(CredentialSource("storage.gcs.keyfile (k)", lambda: account))
        try:
            await scenario(held)
        finally:
            await held.close()

    asyncio.run(whole())


async def settled(held: Tokens) -> None:
    """Wait for what is fetched in the background."""
    assert held._fetching is not None
    await asyncio.gather(held._fetching, return_exceptions=True)
    await asyncio.sleep(0)


def test_is_fetched_once_for_all_who_wait(account: Account) -> None:
    async def scenario(held: Tokens) -> None:
        assert set(await asyncio.gather(*(held.authorization() for _ in range(9)))) == {"Bearer t1"}
        assert await held.authorization() == "Bearer t1"

    run(account, scenario)
    assert account.fetched == 1


def test_is_replaced_in_the_background_before_it_expires(account: Account, clock: Clock) -> None:
    async def scenario(held: Tokens) -> None:
        await held.authorization()
        clock.now += LIFE - tokens.EARLY - 1
        assert await held.authorization() == "Bearer t1"
        assert account.fetched == 1
        clock.now += 2
        account.may_answer.clear()
        assert await held.authorization() == "Bearer t1"
        assert await held.authorization() == "Bearer t1"
        account.may_answer.set()
        await settled(held)
        assert await held.authorization() == "Bearer t2"

    run(account, scenario)
    assert account.fetched == 2


def test_an_expired_one_is_never_used(account: Account, clock: Clock) -> None:
    async def scenario(held: Tokens) -> None:
        await held.authorization()
        clock.now += LIFE - tokens.SPARE
        assert await held.authorization() == "Bearer t2"

    run(account, scenario)


def test_while_it_is_good_a_token_service_may_fail(
    account: Account, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(held: Tokens) -> None:
        await held.authorization()
        account.failure = exceptions.TransportError("no route")
        clock.now += LIFE - tokens.EARLY
        assert await held.authorization() == "Bearer t1"
        await settled(held)
        assert await held.authorization() == "Bearer t1"
        assert caplog.text.count("could not be renewed yet: Google's token service cannot be reached: no route") == 1
        clock.now += tokens.AGAIN
        account.failure = None
        assert await held.authorization() == "Bearer t1"
        await settled(held)
        assert await held.authorization() == "Bearer t2"

    run(account, scenario)


def test_without_a_good_one_the_failure_is_the_requests(account: Account) -> None:
    async def scenario(held: Tokens) -> None:
        account.failure = exceptions.TransportError("no route")
        results = await asyncio.gather(*(held.authorization() for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [Transient] * 3
        account.failure = None
        assert await held.authorization() == "Bearer t1"

    run(account, scenario)


def test_a_token_that_is_refused_is_replaced_but_not_the_one_that_came_after_it(account: Account) -> None:
    async def scenario(held: Tokens) -> None:
        first = await held.authorization()
        held.refuse(first)
        assert await held.authorization() == "Bearer t2"
        held.refuse(first)
        assert await held.authorization() == "Bearer t2"

    run(account, scenario)
    assert account.fetched == 2


@pytest.mark.parametrize("lives", [None, 100.0, 1.0])
def test_any_life_will_do(account: Account, clock: Clock, lives: float | None) -> None:
    account.lives = lives

    async def scenario(held: Tokens) -> None:
        await held.authorization()
        clock.now += (lives or LIFE) * 0.5
        assert await held.authorization() == "Bearer t1"
        clock.now += (lives or LIFE) * 0.5
        assert await held.authorization() == "Bearer t2"

    run(account, scenario)


def test_no_source_no_header() -> None:
    held = Tokens(None)
    assert asyncio.run(held.authorization()) == ""
    assert asyncio.run(held.credentials()) is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "invalid_grant: Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
            "this machine's clock is wrong: synchronize it (NTP)",
        ),
        (
            "invalid_grant: Invalid JWT Signature.",
            "is not, or no longer, the account's: make a new key and put it in k",
        ),
        ("invalid_grant: Invalid grant: account not found", "the account of k was deleted"),
        ("disabled_client: The OAuth client was disabled.", "the account of k is disabled"),
        ("unauthorized_client: Client is unauthorized", "look at the account of k"),
    ],
)
def test_a_refusal_says_what_to_do(said: str, expected: str) -> None:
    error = refused(exceptions.RefreshError(said, {"error": "x"}), "k")
    assert type(error) is Unusable
    assert said.rstrip(".") in str(error)
    assert expected in str(error)
    assert "\n" not in str(error)


def test_a_refusal_that_may_pass_is_transient() -> None:
    error = refused(exceptions.RefreshError("internal_failure\nmore", retryable=True), "k")
    assert isinstance(error, Transient)
    assert str(error) == "Google's token service failed: internal_failure"
