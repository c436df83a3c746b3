from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from matou.jwt.keyfiles import KeyFileError, self_signed_certificate
from matou.jwt.signing import sign
from matou.jwt.verification import VerifiedToken, verify
from matou.registry.auth.base import Access, Identity, Origin, Unauthorized
from matou.registry.auth.keysource import KeySource
from matou.registry.auth.token import KEYS_CHECKED_EVERY, UPLOAD_GRACE, TokenAuthenticator, TokenSettings
from tests.unit.jwt.chains import DAY, EPOCH, issue
from tests.unit.jwt.forge import NOW, claims, forge

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matou.jwt.keyids import PrivateKey

ALICE = Identity("alice")
ORIGIN = Origin("https", "registry.example.com")
PULL = (Access("repository", "a/b", "pull"),)
PULL_PUSH = (*PULL, Access("repository", "a/b", "push"))
CATALOG = (Access("registry", "catalog", "*"),)
SETTINGS = TokenSettings(realm="https://example.com/jwt/auth", service="the-service", issuer="the-issuer")
CHALLENGE = 'Bearer realm="https://example.com/jwt/auth",service="the-service"'
PULL_CHALLENGE = CHALLENGE + ',scope="repository:a/b:pull"'


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def write_bundle(path: Path, *keys: PrivateKey) -> Path:
    content = b"".join(self_signed_certificate(key).public_bytes(serialization.Encoding.PEM) for key in keys)
    temporary = path.with_suffix(".new")
    temporary.write_bytes(content)
    temporary.replace(path)
    return path


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def bundle(tmp_path: Path, key: PrivateKey) -> Path:
    return write_bundle(tmp_path / "bundle.crt", key)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authenticator(bundle: Path, clock: Clock) -> TokenAuthenticator:
    return TokenAuthenticator(SETTINGS, KeySource(bundle, None), clock=clock)


def bearer(key: PrivateKey, **changes: Any) -> str:
    return "Bearer " + sign(claims(**changes), key)


def refused(decide: Callable[[], object]) -> Unauthorized:
    with pytest.raises(Unauthorized) as caught:
        decide()
    return caught.value


def test_good_token(authenticator: TokenAuthenticator, key: PrivateKey) -> None:
    header = bearer(key)
    for _ in range(2):
        assert authenticator.authorize_now(header, PULL_PUSH, ORIGIN) == ALICE
        assert authenticator.authorize_now(header, (), ORIGIN) == ALICE
        assert asyncio.run(authenticator.authorize(header, PULL, ORIGIN)) == ALICE


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
def test_scheme_in_any_case(scheme: str, authenticator: TokenAuthenticator, key: PrivateKey) -> None:
    assert authenticator.authorize_now(bearer(key).replace("Bearer", scheme), PULL, ORIGIN) == ALICE


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Digest x", "token", "Bearer\tx"])
def test_no_token(header: str | None, authenticator: TokenAuthenticator) -> None:
    refusal = refused(lambda: authenticator.authorize_now(header, PULL, ORIGIN))
    assert refusal.challenge == PULL_CHALLENGE
    assert refusal.wanted == PULL
    assert refusal.reason == "authorization token required"


@pytest.mark.parametrize(
    "header", ["Bearer x", "Bearer  x.y.z", "Bearer é", "Bearer " + "a" * 100000, "Bearer a.b.c d", "Bearer \ud800"]
)
def test_invalid_token(header: str, authenticator: TokenAuthenticator) -> None:
    refusal = refused(lambda: authenticator.authorize_now(header, PULL, ORIGIN))
    assert refusal.challenge == PULL_CHALLENGE + ',error="invalid_token"'


def test_nothing_wanted_leaves_scope_out(authenticator: TokenAuthenticator) -> None:
    assert refused(lambda: authenticator.authorize_now(None, (), ORIGIN)).challenge == CHALLENGE


def test_insufficient_scope(authenticator: TokenAuthenticator, key: PrivateKey) -> None:
    header = bearer(key, access=[{"type": "repository", "name": "a/b", "actions": ["pull"]}])
    for _ in range(2):  # verified, then remembered
        refusal = refused(lambda: authenticator.authorize_now(header, PULL_PUSH, ORIGIN))
        assert refusal.challenge == (
            CHALLENGE + ',scope="repository:a/b:pull,push",error="insufficient_scope"'
            ',error_description="requested access to the resource is denied: this login does not allow '
            'repository:a/b:pull,push (wrong name or missing right or container registry disabled)"'
        )
        assert refusal.reason == 'insufficient scope: the token of "alice" does not grant repository:a/b:push'
        assert refusal.wanted == PULL_PUSH
    assert authenticator.authorize_now(header, PULL, ORIGIN) == ALICE


def test_insufficient_scope_for_the_catalogue(authenticator: TokenAuthenticator, key: PrivateKey) -> None:
    refusal = refused(lambda: authenticator.authorize_now(bearer(key), (Access("registry", "catalog", "*"),), ORIGIN))
    assert refusal.challenge.endswith(
        ',error_description="requested access to the resource is denied: this login does not allow registry:catalog:*"'
    )


def test_scopes_of_several_resources_are_separated_by_spaces(authenticator: TokenAuthenticator) -> None:
    wanted = (*PULL_PUSH, Access("repository", "c", "pull"))
    challenge = refused(lambda: authenticator.authorize_now(None, wanted, ORIGIN)).challenge
    assert challenge == CHALLENGE + ',scope="repository:a/b:pull,push repository:c:pull"'


@pytest.mark.parametrize(
    ("granted", "wanted", "good"),
    [
        (("repository", "a/b", ["*"]), PULL_PUSH, True),
        (("repository", "a/b", ["*"]), (Access("repository", "a/b", "delete"),), True),
        (("repository", "a/b", ["pull"]), (Access("repository", "a/b", "*"),), False),
        (("repository", "a", ["*"]), PULL, False),
        (("repository", "a/b/c", ["*"]), PULL, False),
        (("repository", "*", ["*"]), PULL, False),
        (("repository", "A/B", ["pull"]), PULL, False),
        (("registry", "a/b", ["pull"]), PULL, False),
        (("repository(plugin)", "a/b", ["pull"]), PULL, False),
        (("registry", "catalog", ["*"]), CATALOG, True),
        (("registry", "catalog", ["pull"]), CATALOG, False),
    ],
)
def test_what_a_grant_covers(
    granted: tuple[str, str, list[str]],
    wanted: tuple[Access, ...],
    *,
    good: bool,
    authenticator: TokenAuthenticator,
    key: PrivateKey,
) -> None:
    kind, name, actions = granted
    header = bearer(key, access=[{"type": kind, "name": name, "actions": actions}])
    for _ in range(2):
        if good:
            assert authenticator.authorize_now(header, wanted, ORIGIN) == ALICE
        else:
            assert (
                "insufficient_scope" in refused(lambda: authenticator.authorize_now(header, wanted, ORIGIN)).challenge
            )


def test_reason_never_holds_the_token(authenticator: TokenAuthenticator, key: PrivateKey) -> None:
    header = bearer(key, iss="another")
    reason = refused(lambda: authenticator.authorize_now(header, PULL, ORIGIN)).reason
    assert header.rsplit(".", 1)[1] not in reason
    assert "untrusted issuer" in reason


# -- what is remembered


def test_remembered_token_ends_with_its_exp(authenticator: TokenAuthenticator, key: PrivateKey, clock: Clock) -> None:
    header = bearer(key)
    assert authenticator.authorize_now(header, PULL, ORIGIN) == ALICE
    clock.now = NOW + 360
    assert authenticator.authorize_now(header, PULL, ORIGIN) == ALICE
    clock.now = NOW + 360.001
    refusal = refused(lambda: authenticator.authorize_now(header, PULL, ORIGIN))
    assert refusal.challenge == PULL_CHALLENGE + ',error="invalid_token"'
    assert "not to be used after" in refusal.reason


def test_remembered_token_is_not_valid_before_its_time(
    authenticator: TokenAuthenticator, key: PrivateKey, clock: Clock
) -> None:
    header = bearer(key)
    assert authenticator.authorize_now(header, PULL, ORIGIN) == ALICE
    clock.now = NOW - 1000  # the clock was set back
    assert "not to be used before" in refused(lambda: authenticator.authorize_now(header, PULL, ORIGIN)).reason


def test_remembered_token_is_not_verified_again(
    authenticator: TokenAuthenticator, key: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = bearer(key)
    authenticator.authorize_now(header, PULL, ORIGIN)

    def never(*_: object, **__: object) -> None:
        pytest.fail("verified twice")

    monkeypatch.setattr("matou.registry.auth.token.verify", never)
    # Another string object with the same text, as each request brings one.
    assert authenticator.authorize_now(header[:20] + header[20:], PULL_PUSH, ORIGIN) == ALICE
    refused(lambda: authenticator.authorize_now(header, (Access("repository", "a/b", "delete"),), ORIGIN))


def test_refused_tokens_are_not_remembered(authenticator: TokenAuthenticator, key: PrivateKey) -> None:
    for number in range(20):
        decide = partial(authenticator.authorize_now, bearer(key, aud="another", jti=str(number)), PULL, ORIGIN)
        refused(decide)
    assert not authenticator._known


def test_memory_is_bounded_and_the_least_used_goes_first(
    bundle: Path, key: PrivateKey, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []

    def counted(token: str, *arguments: Any, **options: Any) -> VerifiedToken:
        verified.append(token)
        return verify(token, *arguments, **options)

    monkeypatch.setattr("matou.registry.auth.token.verify", counted)
    authenticator = TokenAuthenticator(SETTINGS, KeySource(bundle, None), clock=clock, cache_bytes=50_000)
    favourite = bearer(key, jti="favourite")
    authenticator.authorize_now(favourite, PULL, ORIGIN)
    for number in range(100):
        authenticator.authorize_now(bearer(key, jti=str(number)), PULL, ORIGIN)
        authenticator.authorize_now(favourite, PULL, ORIGIN)
    assert verified.count(favourite.removeprefix("Bearer ")) == 1
    assert len(verified) == 101
    assert favourite in authenticator._known
    assert 2 <= len(authenticator._known) <= 25
    costs = sum(known.cost for known in authenticator._known.values())
    assert authenticator._free == 50_000 - costs >= 0


def test_token_larger_than_the_memory_is_accepted_but_not_kept(bundle: Path, key: PrivateKey, clock: Clock) -> None:
    authenticator = TokenAuthenticator(SETTINGS, KeySource(bundle, None), clock=clock, cache_bytes=10)
    assert authenticator.authorize_now(bearer(key), PULL, ORIGIN) == ALICE
    assert not authenticator._known
    assert authenticator._free == 10


# -- tokens that expire during an upload


def test_expired_token_may_finish_an_upload_for_a_day(
    authenticator: TokenAuthenticator, key: PrivateKey, clock: Clock
) -> None:
    header = bearer(key)
    clock.now = NOW + 360 + UPLOAD_GRACE
    for _ in range(2):
        assert authenticator.authorize_now(header, PULL_PUSH, ORIGIN, expired_ok=True) == ALICE
        # The same token is worth nothing for anything else, remembered or not.
        refused(lambda: authenticator.authorize_now(header, PULL, ORIGIN))
    clock.now += 1
    refused(lambda: authenticator.authorize_now(header, PULL_PUSH, ORIGIN, expired_ok=True))


@pytest.mark.parametrize("changes", [{"iss": "x"}, {"aud": "x"}, {"access": []}, {"nbf": NOW + 9000}])
def test_upload_grace_forgives_nothing_else(
    changes: dict[str, Any], authenticator: TokenAuthenticator, key: PrivateKey, clock: Clock
) -> None:
    clock.now = NOW + 1000
    header = bearer(key, **changes)
    refused(lambda: authenticator.authorize_now(header, PULL, ORIGIN, expired_ok=True))


def test_grace_does_not_outlive_the_certificate_of_a_chain(tmp_path: Path, clock: Clock) -> None:
    root = issue("root", authority=True)
    leaf = issue("leaf", root, valid=(EPOCH - DAY, EPOCH + DAY / 2))
    bundle = tmp_path / "bundle"
    bundle.write_bytes(root.certificate.public_bytes(serialization.Encoding.PEM))
    authenticator = TokenAuthenticator(SETTINGS, KeySource(bundle, None), clock=clock)
    header = "Bearer " + forge(claims(exp=NOW + 30 * 86400), leaf.key, x5c=[leaf.x5c])
    clock.now = NOW + 43199
    assert authenticator.authorize_now(header, PULL, ORIGIN) == ALICE
    clock.now = NOW + 43201
    for expired_ok in (False, True):
        decide = partial(authenticator.authorize_now, header, PULL, ORIGIN, expired_ok=expired_ok)
        assert "not valid at validation time" in refused(decide).reason


# -- rotation of keys


def test_rotation_without_refusing_tokens_in_flight(
    authenticator: TokenAuthenticator, key: PrivateKey, bundle: Path, clock: Clock
) -> None:
    new = ec.generate_private_key(ec.SECP256R1())
    old_token, new_token = bearer(key), bearer(new)
    assert authenticator.authorize_now(old_token, PULL, ORIGIN) == ALICE
    assert "untrusted key" in refused(lambda: authenticator.authorize_now(new_token, PULL, ORIGIN)).reason
    write_bundle(bundle, key, new)
    clock.now += KEYS_CHECKED_EVERY
    assert authenticator.authorize_now(old_token, PULL, ORIGIN) == ALICE
    assert authenticator.authorize_now(new_token, PULL, ORIGIN) == ALICE
    write_bundle(bundle, new)
    clock.now += KEYS_CHECKED_EVERY
    # What the old key vouched for is no longer remembered.
    assert "untrusted key" in refused(lambda: authenticator.authorize_now(old_token, PULL, ORIGIN)).reason
    assert authenticator.authorize_now(new_token, PULL, ORIGIN) == ALICE


def test_files_are_examined_seldom(
    authenticator: TokenAuthenticator, key: PrivateKey, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = bearer(key)
    count = 0
    real = os.stat

    def stat(path: Any, **options: Any) -> os.stat_result:
        nonlocal count
        count += 1
        return real(path, **options)

    monkeypatch.setattr("matou.registry.auth.keysource.os.stat", stat)
    for _ in range(100):
        authenticator.authorize_now(header, PULL, ORIGIN)
        clock.now += KEYS_CHECKED_EVERY / 49.5
    assert 1 <= count <= 3


@pytest.mark.parametrize("content", [b"", b"half a certif", None])
def test_unusable_bundle_keeps_the_former_keys(
    content: bytes | None,
    authenticator: TokenAuthenticator,
    key: PrivateKey,
    bundle: Path,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if content is None:
        bundle.unlink()
    else:
        bundle.write_bytes(content)
    for _ in range(3):
        clock.now += KEYS_CHECKED_EVERY
        assert authenticator.authorize_now(bearer(key), PULL, ORIGIN) == ALICE
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1  # once for each change, not for each check
    assert str(bundle) in errors[0].getMessage()
    new = ec.generate_private_key(ec.SECP256R1())
    write_bundle(bundle, new)
    clock.now += KEYS_CHECKED_EVERY
    assert authenticator.authorize_now(bearer(new), PULL, ORIGIN) == ALICE


def test_start_without_usable_keys(tmp_path: Path, key: PrivateKey) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        KeySource(tmp_path / "missing", None)
    empty = tmp_path / "jwks"
    empty.write_text('{"keys": []}')
    with pytest.raises(KeyFileError, match="at least one token signing key"):
        KeySource(None, empty)
    with pytest.raises(KeyFileError, match="at least one token signing key"):
        KeySource(None, None)
    KeySource(write_bundle(tmp_path / "bundle", key), empty)


def test_loaded_ids_are_logged(bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        source = KeySource(bundle, None)
    assert all(identifier in caplog.text for identifier in source.keys.ids)


# -- autoredirect


@pytest.mark.parametrize(
    ("origin", "realm"),
    [
        (Origin("https", "registry.example.com"), "https://registry.example.com/auth/token"),
        (Origin("http", "127.0.0.1:5000"), "http://127.0.0.1:5000/auth/token"),
        (Origin("http", "[::1]:5000"), "http://[::1]:5000/auth/token"),
        (Origin("", "registry"), "https://registry/auth/token"),
        (Origin("javascript", "registry"), "https://registry/auth/token"),
        (Origin("https", ""), SETTINGS.realm),
        (Origin("https", 'evil.example",error="x'), SETTINGS.realm),
        (Origin("https", "evil.example/path"), SETTINGS.realm),
        (Origin("https", "user@evil.example"), SETTINGS.realm),
        (Origin("https", "evil.example\r\nX: y"), SETTINGS.realm),
        (Origin("https", "evil.example\n"), SETTINGS.realm),
        (Origin("https", "evil.example?x"), SETTINGS.realm),
        (Origin("https", "evil.example#x"), SETTINGS.realm),
        (Origin("https", "evil example"), SETTINGS.realm),
        (Origin("https", "evil.example:port"), SETTINGS.realm),
        (Origin("https", "a" * 300), SETTINGS.realm),
        (Origin("https", "-x"), SETTINGS.realm),
        (Origin("https", "例え"), SETTINGS.realm),
    ],
)
def test_autoredirect(origin: Origin, realm: str, bundle: Path, clock: Clock) -> None:
    settings = TokenSettings(SETTINGS.realm, SETTINGS.service, SETTINGS.issuer, autoredirectpath="/auth/token")
    authenticator = TokenAuthenticator(settings, KeySource(bundle, None), clock=clock)
    challenge = refused(lambda: authenticator.authorize_now(None, (), origin)).challenge
    assert challenge == f'Bearer realm="{realm}",service="the-service"'


def test_quotes_in_settings_and_names_cannot_break_out(bundle: Path, clock: Clock) -> None:
    settings = TokenSettings('https://x/"\\\r\n', 'the "service"', "i")
    authenticator = TokenAuthenticator(settings, KeySource(bundle, None), clock=clock)
    wanted = (Access("repository", 'a"b\nc', "pull"),)
    challenge = refused(lambda: authenticator.authorize_now(None, wanted, ORIGIN)).challenge
    expected = r'Bearer realm="https://x/\"\\??",service="the \"service\"",scope="repository:a\"b?c:pull"'
    assert challenge == expected
