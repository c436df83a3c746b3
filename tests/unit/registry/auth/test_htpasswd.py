from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import threading
from typing import TYPE_CHECKING

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matou.registry.auth import htpasswd as module
from matou.registry.auth import passwordfile
from matou.registry.auth.base import Access, Identity, Origin, Unauthorized
from matou.registry.auth.basic import parse_basic
from matou.registry.auth.htpasswd import FILE_CHECKED_EVERY, REMEMBERED_FOR, HtpasswdAuthenticator
from matou.registry.auth.passwordfile import PasswordFile, create_when_missing, parse_password_file
from matou.registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ORIGIN = Origin("https", "registry.example.com")
WANTED = (Access("repository", "a/b", "pull"),)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def entry(user: str, password: str, *, prefix: bytes = b"2b", rounds: int = 4) -> bytes:
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds))
    return user.encode() + b":$" + prefix + hashed[3:] + b"\n"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "htpasswd"
    path.write_bytes(
        entry("alice", "secret") + entry("bob", "hunter2", prefix=b"2y") + entry("carol", "", prefix=b"2a")
    )
    return path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authenticator(path: Path, clock: Clock) -> HtpasswdAuthenticator:
    return HtpasswdAuthenticator('the "realm"', PasswordFile(path), clock=clock)


def _check(refusal: Unauthorized) -> None:
    assert refusal.challenge == r'Basic realm="the \"realm\""'
    assert refusal.wanted == WANTED


def sign_in(authenticator: HtpasswdAuthenticator, header: str | None) -> Identity | None:
    async def both() -> Identity:
        return authenticator.authorize_now(header, WANTED, ORIGIN) or await authenticator.authorize(
            header, WANTED, ORIGIN
        )

    try:
        return asyncio.run(both())
    except Unauthorized as refusal:
        _check(refusal)
        return None


@pytest.mark.parametrize(
    ("user", "password", "good"),
    [
        ("alice", "secret", True),
        ("bob", "hunter2", True),
        ("carol", "", True),
        ("alice", "Secret", False),
        ("alice", "", False),
        ("alice", "hunter2", False),
        ("Alice", "secret", False),
        ("mallory", "secret", False),
        ("", "secret", False),
    ],
)
def test_sign_in(user: str, password: str, *, good: bool, authenticator: HtpasswdAuthenticator) -> None:
    assert sign_in(authenticator, basic(user, password)) == (Identity(user) if good else None)


def test_password_with_colons_and_other_letters(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "htpasswd"
    path.write_bytes(entry("名", "a:b:ü"))
    authenticator = HtpasswdAuthenticator("r", PasswordFile(path), clock=clock)
    assert asyncio.run(authenticator.authorize(basic("名", "a:b:ü"), (), ORIGIN)) == Identity("名")


def test_only_72_bytes_count_as_in_apache(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "htpasswd"
    path.write_bytes(entry("alice", "x" * 72))
    authenticator = HtpasswdAuthenticator("r", PasswordFile(path), clock=clock)
    assert asyncio.run(authenticator.authorize(basic("alice", "x" * 72 + "more"), (), ORIGIN)) == Identity("alice")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic é",
        "Basic YWxpY2U",
        "Basic YWxpY2U=",
        "Basic YWxpY2U6c2VjcmV0AA==",
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
        "Basic " + base64.b64encode(b"a\nb:x").decode(),
        "Basic " + "A" * 10000,
        "Bearer YWxpY2U6c2VjcmV0",
        "Basic YWxpY2U6c2VjcmV0, Basic YWxpY2U6c2VjcmV0",
        "\ud800",
    ],
)
def test_malformed_header_is_challenged_at_once(header: str | None, authenticator: HtpasswdAuthenticator) -> None:
    with pytest.raises(Unauthorized):
        authenticator.authorize_now(header, WANTED, ORIGIN)
    with pytest.raises(Unauthorized):
        asyncio.run(authenticator.authorize(header, WANTED, ORIGIN))


@settings(deadline=None)
@given(st.text(max_size=40), st.booleans())
def test_any_header_is_parsed_or_not(text: str, plain: bool) -> None:
    header = text if plain else "Basic " + base64.b64encode(text.encode("utf-8", "replace")).decode()
    found = parse_basic(header)
    assert found is None or (found.user and b"\0" not in found.password)


def test_scheme_in_any_case_and_spaces(authenticator: HtpasswdAuthenticator) -> None:
    assert sign_in(authenticator, basic("alice", "secret").replace("Basic ", "bASIC   ")) == Identity("alice")


# -- costs


def counting(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    calls: list[bytes] = []

    def check(password: bytes, hashed: bytes) -> bool:
        calls.append(hashed)
        return passwordfile.check_password(password, hashed)

    monkeypatch.setattr(module, "check_password", check)
    return calls


def test_right_password_is_remembered_for_a_moment(
    authenticator: HtpasswdAuthenticator, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counting(monkeypatch)
    header = basic("alice", "secret")
    assert authenticator.authorize_now(header, WANTED, ORIGIN) is None
    assert sign_in(authenticator, header) == Identity("alice")
    assert authenticator.authorize_now(header, WANTED, ORIGIN) == Identity("alice")
    assert asyncio.run(authenticator.authorize(header, WANTED, ORIGIN)) == Identity("alice")
    assert len(calls) == 1
    clock.now += REMEMBERED_FOR
    assert authenticator.authorize_now(header, WANTED, ORIGIN) is None
    assert sign_in(authenticator, header) == Identity("alice")
    assert len(calls) == 2


def test_wrong_passwords_are_not_remembered_nor_any_password_in_clear(authenticator: HtpasswdAuthenticator) -> None:
    assert sign_in(authenticator, basic("alice", "wrong")) is None
    assert not authenticator._known
    assert sign_in(authenticator, basic("alice", "secret"))
    assert "secret" not in repr(vars(authenticator))
    assert basic("alice", "secret")[6:] not in repr(vars(authenticator))


def test_unknown_user_costs_as_much_as_the_dearest_known(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "htpasswd"
    path.write_bytes(entry("alice", "secret") + entry("bob", "secret", rounds=6))
    authenticator = HtpasswdAuthenticator("r", PasswordFile(path), clock=clock)
    calls = counting(monkeypatch)
    with pytest.raises(Unauthorized) as unknown:
        asyncio.run(authenticator.authorize(basic("mallory", "secret"), (), ORIGIN))
    assert [hashed[:7] for hashed in calls] == [b"$2b$06$"]
    with pytest.raises(Unauthorized) as wrong:
        asyncio.run(authenticator.authorize(basic("bob", "wrong"), (), ORIGIN))
    assert unknown.value.challenge == wrong.value.challenge
    assert unknown.value.reason.replace("mallory", "bob") == wrong.value.reason


def test_decoy_is_a_hash_that_bcrypt_computes(path: Path) -> None:
    decoy = PasswordFile(path).decoy
    assert bcrypt.checkpw(b"anything", decoy) is False


def test_the_same_password_of_many_connections_is_hashed_once(
    authenticator: HtpasswdAuthenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counting(monkeypatch)

    async def many() -> list[Identity]:
        header = basic("alice", "secret")
        return await asyncio.gather(*(authenticator.authorize(header, WANTED, ORIGIN) for _ in range(20)))

    assert asyncio.run(many()) == [Identity("alice")] * 20
    assert len(calls) == 1


def test_client_that_goes_away_does_not_harm_the_others(
    authenticator: HtpasswdAuthenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(password: bytes, hashed: bytes) -> bool:
        begun.set()
        assert go_on.wait(30)
        return passwordfile.check_password(password, hashed)

    monkeypatch.setattr(module, "check_password", slow)

    async def scenario() -> Identity:
        header = basic("alice", "secret")
        leaver = asyncio.create_task(authenticator.authorize(header, WANTED, ORIGIN))
        stayer = asyncio.create_task(authenticator.authorize(header, WANTED, ORIGIN))
        assert await asyncio.to_thread(begun.wait, 30)
        leaver.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await leaver
        return await stayer

    assert asyncio.run(scenario()) == Identity("alice")
    assert not authenticator._running


def test_too_many_guesses_are_turned_away(
    authenticator: HtpasswdAuthenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def slow(password: bytes, hashed: bytes) -> bool:
        assert password
        assert hashed
        return go_on.wait(30) and False

    monkeypatch.setattr(module, "check_password", slow)
    monkeypatch.setattr(module, "MAX_WAITING", 5)

    async def scenario() -> RegistryError:
        guesses = [
            asyncio.create_task(authenticator.authorize(basic("alice", str(number)), WANTED, ORIGIN))
            for number in range(5)
        ]
        await asyncio.sleep(0)
        with pytest.raises(RegistryError) as caught:
            await authenticator.authorize(basic("alice", "5"), WANTED, ORIGIN)
        go_on.set()
        results = await asyncio.gather(*guesses, return_exceptions=True)
        assert all(isinstance(result, Unauthorized) for result in results)
        return caught.value

    refusal = asyncio.run(scenario())
    assert refusal.status == 429
    assert ("Retry-After", "5") in refusal.headers


# -- the file


def replace(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_bytes(content)
    temporary.replace(path)


def rewrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.mark.parametrize("write", [replace, rewrite])
def test_changes_count_at_once_even_for_remembered_passwords(
    write: Callable[[Path, bytes], None], authenticator: HtpasswdAuthenticator, path: Path, clock: Clock
) -> None:
    assert sign_in(authenticator, basic("alice", "secret"))
    write(path, entry("alice", "changed") + entry("dave", "new"))
    clock.now += FILE_CHECKED_EVERY
    assert sign_in(authenticator, basic("alice", "secret")) is None
    assert sign_in(authenticator, basic("bob", "hunter2")) is None
    assert sign_in(authenticator, basic("alice", "changed")) == Identity("alice")
    assert sign_in(authenticator, basic("dave", "new")) == Identity("dave")


def test_change_of_the_same_size_and_time_in_a_new_file_is_noticed(
    authenticator: HtpasswdAuthenticator, path: Path, clock: Clock
) -> None:
    status = path.stat()
    replace(path, entry("alice", "newone") + entry("bob", "hunter2", prefix=b"2y") + entry("carol", "", prefix=b"2a"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    clock.now += FILE_CHECKED_EVERY
    assert sign_in(authenticator, basic("alice", "newone"))


def test_user_removed_while_the_password_was_checked(
    authenticator: HtpasswdAuthenticator, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(password: bytes, hashed: bytes) -> bool:
        replace(path, entry("bob", "hunter2"))
        clock.now += FILE_CHECKED_EVERY
        authenticator._follow_file(clock.now)
        return passwordfile.check_password(password, hashed)

    monkeypatch.setattr(module, "check_password", check)
    assert sign_in(authenticator, basic("alice", "secret")) is None
    assert not authenticator._known


def test_missing_file_lets_nobody_in(
    authenticator: HtpasswdAuthenticator, path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    assert sign_in(authenticator, basic("alice", "secret"))
    content = path.read_bytes()
    path.unlink()
    for _ in range(3):
        clock.now += FILE_CHECKED_EVERY
        assert sign_in(authenticator, basic("alice", "secret")) is None
    assert caplog.text.count("nobody can sign in") == 1
    path.write_bytes(content)
    clock.now += FILE_CHECKED_EVERY
    assert sign_in(authenticator, basic("alice", "secret"))


def test_lines_that_do_not_count() -> None:
    good = entry("alice", "secret").strip()
    content = b"\n".join(
        [
            b"# comment: with colon",
            b"",
            b"   ",
            b"  " + good + b"  ",
            b"md5:$apr1$abcdefgh$abcdefghijklmnopqrstuv",
            b"sha:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
            b"plain:password",
            b"crypt:rl0uvyWnJlGx6",
            b"empty:",
            b"no colon",
            b":$2y$05$",
            b"\xff:x",
            b"costly:$2y$31$" + b"a" * 53,
            b"short:$2y$05$" + b"a" * 52,
        ]
    )
    users, complaints = parse_password_file(content)
    assert users == {"alice": good.partition(b":")[2]}
    assert len(complaints) == 10
    assert [int(complaint.split()[1].rstrip(":")) for complaint in complaints] == list(range(5, 15))
    assert "'md5'" in complaints[0]
    assert not any(secret in " ".join(complaints) for secret in ("apr1", "W6ph", "password", "rl0u"))


def test_last_entry_of_a_user_counts() -> None:
    first, last = entry("alice", "first"), entry("alice", "last")
    users, complaints = parse_password_file(first + last)
    assert users["alice"] == last.strip().partition(b":")[2]
    assert "'alice' occurs again" in complaints[0]
    users, _ = parse_password_file(first + b"alice:!locked\n")
    assert users == {}


def test_file_made_by_apaches_tool(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "htpasswd"
    subprocess.run(["htpasswd", "-cbB", str(path), "alice", "secret"], check=True, capture_output=True)
    authenticator = HtpasswdAuthenticator("r", PasswordFile(path), clock=clock)
    assert asyncio.run(authenticator.authorize(basic("alice", "secret"), (), ORIGIN)) == Identity("alice")


def test_missing_file_is_made_with_a_user_whose_password_is_logged(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "auth" / "htpasswd"
    create_when_missing(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in path.parent.iterdir()] == ["htpasswd"]
    password = caplog.text.rpartition("password=")[2].strip()
    assert len(password) == 43
    authenticator = HtpasswdAuthenticator("r", PasswordFile(path), clock=clock)
    assert asyncio.run(authenticator.authorize(basic("docker", password), (), ORIGIN)) == Identity("docker")
    content = path.read_bytes()
    caplog.clear()
    create_when_missing(path)
    assert path.read_bytes() == content
    assert not caplog.records


def test_slower_of_two_processes_logs_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "htpasswd"
    real = bcrypt.hashpw
    others = entry("docker", "of the other process")

    def hash_slowly(password: bytes, salt: bytes) -> bytes:
        path.write_bytes(others)
        return real(password, salt)

    monkeypatch.setattr("matou.registry.auth.passwordfile.bcrypt.hashpw", hash_slowly)
    create_when_missing(path)
    assert not caplog.records
    assert path.read_bytes() == others
    assert [item.name for item in tmp_path.iterdir()] == ["htpasswd"]
