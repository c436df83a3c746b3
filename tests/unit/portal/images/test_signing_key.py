from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from django.apps import apps

from matou.jwt.keyfiles import KeyFileError, ensure_key_pair
from matou.jwt.keyids import PrivateKey, libtrust_fingerprint
from matou.portal.images.signing_key import SigningKey
from tests.unit.portal.images.asking import ask
from tests.unit.portal.things import PASSWORD, user

if TYPE_CHECKING:
    from pathlib import Path


def make(directory: Path) -> Path:
    ensure_key_pair(directory / "a.key", directory / "a.crt")
    return directory / "a.key"


def name(key: PrivateKey) -> str:
    return libtrust_fingerprint(key.public_key())


def test_another_key_is_used_at_once(tmp_path: Path) -> None:
    path = make(tmp_path / "old")
    signing_key = SigningKey(path)
    first = signing_key.get()
    assert signing_key.get() is first
    make(tmp_path / "new").replace(path)
    assert name(signing_key.get()) != name(first)


@pytest.mark.parametrize("damage", ["missing", "nonsense"])
def test_a_key_that_cannot_be_read_leaves_the_last_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = make(tmp_path)
    signing_key = SigningKey(path)
    first = signing_key.get()
    if damage == "missing":
        path.unlink()
    else:
        path.write_text("nonsense")
    with caplog.at_level(logging.ERROR):
        assert signing_key.get() is first
    assert "cannot be read" in caplog.text


def test_without_any_key_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        SigningKey(tmp_path / "a.key").get()


@pytest.mark.django_db
def test_without_any_key_nobody_gets_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user("ann")
    monkeypatch.setattr(apps.get_app_config("images"), "signing_key", SigningKey(tmp_path / "a.key"))
    answer = ask(login=("ann", PASSWORD))
    assert answer.status == 503
    assert answer.error == ("UNAVAILABLE", "the portal cannot read its signing key; its log says why")
