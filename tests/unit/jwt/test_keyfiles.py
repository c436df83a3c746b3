from __future__ import annotations

import datetime as dt
import errno
import multiprocessing
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from matou.jwt import keyfiles
from matou.jwt.keyfiles import (
    KeyFileError,
    ensure_key_pair,
    load_certificates,
    load_private_key,
    self_signed_certificate,
)
from matou.jwt.keyids import libtrust_fingerprint

if TYPE_CHECKING:
    from matou.jwt.keyids import PrivateKey


def pem(key: PrivateKey, encryption: serialization.KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        encryption or serialization.NoEncryption(),
    )


def certificate_pem(key: PrivateKey) -> bytes:
    return self_signed_certificate(key).public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "keys" / "token.key", tmp_path / "public" / "token.crt"


def test_new_pair(pair: tuple[Path, Path]) -> None:
    key, certificate = pair
    umask = os.umask(0o077)
    try:
        ensure_key_pair(key, certificate)
    finally:
        os.umask(umask)
    private = load_private_key(key)
    (found,) = load_certificates(certificate)
    assert isinstance(private, rsa.RSAPrivateKey)
    assert private.key_size >= 2048
    assert found.public_key() == private.public_key()
    found.verify_directly_issued_by(found)
    now = dt.datetime.now(dt.UTC)
    assert found.not_valid_before_utc < now < now + dt.timedelta(days=3650) < found.not_valid_after_utc
    assert found.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert key.stat().st_mode & 0o777 == 0o600
    assert certificate.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in certificate.parent.iterdir()] == ["token.crt"]
    assert sorted(path.name for path in key.parent.iterdir()) == [".token.key.lock", "token.key"]


def test_second_run_changes_nothing(pair: tuple[Path, Path]) -> None:
    ensure_key_pair(*pair)
    before = [path.read_bytes() for path in pair]
    ensure_key_pair(*pair)
    assert [path.read_bytes() for path in pair] == before


def test_own_pair_in_read_only_directory_is_used(pair: tuple[Path, Path], any_key: PrivateKey) -> None:
    key, certificate = pair
    key.parent.mkdir()
    certificate.parent.mkdir()
    key.write_bytes(pem(any_key))
    certificate.write_bytes(certificate_pem(any_key))
    key.parent.chmod(0o500)
    try:
        ensure_key_pair(key, certificate)
        assert [path.name for path in key.parent.iterdir()] == ["token.key"]
    finally:
        key.parent.chmod(0o700)


def test_key_without_certificate_gets_one(pair: tuple[Path, Path], any_key: PrivateKey) -> None:
    key, certificate = pair
    key.parent.mkdir()
    key.write_bytes(pem(any_key))
    ensure_key_pair(key, certificate)
    assert key.read_bytes() == pem(any_key)
    assert load_certificates(certificate)[0].public_key() == any_key.public_key()


def test_certificate_without_key_is_explained_and_kept(pair: tuple[Path, Path], rsa_key: rsa.RSAPrivateKey) -> None:
    key, certificate = pair
    certificate.parent.mkdir()
    content = certificate_pem(rsa_key)
    certificate.write_bytes(content)
    with pytest.raises(KeyFileError, match=r"token\.key: missing, but its certificate .* exists\. Restore"):
        ensure_key_pair(key, certificate)
    assert certificate.read_bytes() == content
    assert not key.exists()


def test_mismatch_names_both_ids(
    pair: tuple[Path, Path], rsa_key: rsa.RSAPrivateKey, other_rsa_key: rsa.RSAPrivateKey
) -> None:
    key, certificate = pair
    key.parent.mkdir()
    certificate.parent.mkdir()
    key.write_bytes(pem(rsa_key))
    certificate.write_bytes(certificate_pem(other_rsa_key))
    with pytest.raises(KeyFileError) as caught:
        ensure_key_pair(key, certificate)
    assert libtrust_fingerprint(rsa_key.public_key()) in str(caught.value)
    assert libtrust_fingerprint(other_rsa_key.public_key()) in str(caught.value)


def test_bundle_with_the_certificate_among_others_is_fine(
    pair: tuple[Path, Path], rsa_key: rsa.RSAPrivateKey, other_rsa_key: rsa.RSAPrivateKey
) -> None:
    key, certificate = pair
    key.parent.mkdir()
    certificate.parent.mkdir()
    key.write_bytes(pem(rsa_key))
    certificate.write_bytes(certificate_pem(other_rsa_key) + b"\n# comment\n" + certificate_pem(rsa_key))
    ensure_key_pair(key, certificate)
    assert len(load_certificates(certificate)) == 2


@pytest.mark.parametrize("step", range(1, 5))
def test_crash_at_any_rename_or_sync_is_repaired(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    # The process "dies" at the n-th fsync: of the key, its directory, the certificate, its directory.
    count = 0

    class Killed(BaseException):
        pass

    real = os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count == step:
            raise Killed
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        # A killed process cleans nothing up.
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(Killed):
            ensure_key_pair(*pair)
    assert count == step
    key, certificate = pair
    before = key.read_bytes() if key.exists() else None
    ensure_key_pair(key, certificate)
    assert before is None or key.read_bytes() == before
    assert load_certificates(certificate)[0].public_key() == load_private_key(key).public_key()
    assert not [path for folder in {key.parent, certificate.parent} for path in folder.glob("*.new*")]


def test_full_disk_leaves_nothing(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeyFileError, match="No space left"):
        ensure_key_pair(*pair)
    assert [path.name for path in pair[0].parent.iterdir()] == [".token.key.lock"]


def _ensure(key: str, certificate: str) -> None:
    ensure_key_pair(Path(key), Path(certificate))


def test_many_processes_at_once_agree_on_one_pair(pair: tuple[Path, Path]) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_ensure, args=(str(pair[0]), str(pair[1]))) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    ensure_key_pair(*pair)


def test_unusable_private_keys(tmp_path: Path, rsa_key: rsa.RSAPrivateKey) -> None:
    path = tmp_path / "key"
    with pytest.raises(KeyFileError, match="No such file"):
        load_private_key(path)
    contents = {
        "garbage": b"garbage",
        "passphrase": pem(rsa_key, serialization.BestAvailableEncryption(b"secret")),
        "secp256k1": pem(ec.generate_private_key(ec.SECP256K1())),
        "certificate": certificate_pem(rsa_key),
        "": b"",
    }
    for expected, content in contents.items():
        path.write_bytes(content)
        with pytest.raises(KeyFileError) as caught:
            load_private_key(path)
        assert str(path) in str(caught.value)
        assert expected in {"passphrase", "secp256k1"} or "PEM" in str(caught.value)
        assert "\n" not in str(caught.value)
    path.write_bytes(b"-" * (keyfiles.MAX_BUNDLE_BYTES + 1))
    with pytest.raises(KeyFileError, match="larger than"):
        load_private_key(path)


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_unusable_bundles(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bundle"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match="PEM certificates"):
        load_certificates(path)


def test_bundle_may_hold_a_key_beside_the_certificate(tmp_path: Path, rsa_key: rsa.RSAPrivateKey) -> None:
    path = tmp_path / "bundle"
    path.write_bytes(pem(rsa_key) + certificate_pem(rsa_key))
    assert len(load_certificates(path)) == 1
