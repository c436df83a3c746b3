from __future__ import annotations

import base64
import json

import pytest

from matou.registry.blobs.upload_state import InvalidState, StateCodec, UploadState

STATE = UploadState("a/b", "uuid", 7, "2026-01-01T00:00:00Z", "ab", "boot", "me")


def test_round_trip() -> None:
    codec = StateCodec("secret")
    assert codec.decode(codec.encode(STATE)) == STATE


def test_distributions_fields_are_there() -> None:
    document = json.loads(base64.urlsafe_b64decode(StateCodec("secret").encode(STATE))[32:])
    assert {name: document[name] for name in ("Name", "UUID", "Offset", "StartedAt")} == {
        "Name": "a/b",
        "UUID": "uuid",
        "Offset": 7,
        "StartedAt": "2026-01-01T00:00:00Z",
    }


def signed(document: object) -> str:
    message = json.dumps(document).encode()
    return base64.urlsafe_b64encode(StateCodec("secret")._mac(message) + message).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "é",
        "a" * 10_000,
        "!!!!",
        StateCodec("other").encode(STATE),
        StateCodec("secret").encode(STATE)[:-4],
        "A" + StateCodec("secret").encode(STATE)[1:],
        StateCodec("secret").encode(STATE) + "AAAA",
        signed({"Name": "a"}),
        signed([]),
        signed({"Name": "a", "UUID": "u", "Offset": "7", "StartedAt": ""}),
        signed({"Name": "a", "UUID": "u", "Offset": -7, "StartedAt": ""}),
    ],
)
def test_what_was_not_signed_is_refused(text: str) -> None:
    with pytest.raises(InvalidState):
        StateCodec("secret").decode(text)
