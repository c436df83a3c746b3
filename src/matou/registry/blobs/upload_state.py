"""The state of an upload, which travels in the URL of its next request.

Source: Distribution ``registry/handlers/hmac.go``: ``_state`` is base64url of HMAC-SHA256(http.secret, json) followed
by json. Beyond Distribution's fields ours has the digest of the bytes so far, so that any worker can finish an upload
without reading it again, and who began it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from typing import Any

from matou.registry.content.digest import DEFAULT_ALGORITHM, HEX_LENGTHS

MAC_SIZE = hashlib.sha256().digest_size
LIMIT = 8192  # characters; ours have a few hundred


class InvalidState(ValueError):  # noqa: N818 -- what it is
    """The state is forged, damaged or of another registry."""


@dataclass(frozen=True, slots=True)
class UploadState:
    """Where an upload stands.

    Attributes:
        repository: name.
        uuid: of the upload.
        offset: bytes that it has.
        started_at: RFC 3339, UTC.
        digest: hexadecimal digest of those bytes, or "" when it is not known.
        boot: the boot of the machine in which ``digest`` was computed: after a crash storage may have other bytes.
        subject: who began it.
        algorithm: of ``digest``, and of the digest that the blob is expected to get.
    """

    repository: str
    uuid: str
    offset: int
    started_at: str
    digest: str = ""
    boot: str = ""
    subject: str = ""
    algorithm: str = DEFAULT_ALGORITHM


_FIELDS = {
    "repository": "Name",
    "uuid": "UUID",
    "offset": "Offset",
    "started_at": "StartedAt",
    "digest": "Digest",
    "boot": "Boot",
    "subject": "Subject",
    "algorithm": "Algorithm",
}


class StateCodec:
    """Signs and verifies states.

    Args:
        secret: ``http.secret``, the same in all replicas.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def encode(self, state: UploadState) -> str:
        """Return the value of ``_state``."""
        document = {_FIELDS[name]: value for name, value in asdict(state).items()}
        message = json.dumps(document, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(message) + message).decode()

    def decode(self, text: str) -> UploadState:
        """Return the state.

        Raises:
            InvalidState: it was not signed with the secret, or lacks a field.
        """
        if len(text) > LIMIT:
            raise InvalidState("the _state parameter is too long")
        try:
            content = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error) as error:
            raise InvalidState("the _state parameter is not base64url") from error
        mac, message = content[:MAC_SIZE], content[MAC_SIZE:]
        if not hmac.compare_digest(mac, self._mac(message)):
            raise InvalidState(
                "the _state parameter was not signed by this registry; replicas need the same http.secret"
            )
        try:
            return _from_document(json.loads(message))
        except ValueError as error:
            raise InvalidState(f"the _state parameter cannot be read: {error}") from error

    def _mac(self, message: bytes) -> bytes:
        return hmac.digest(self._secret, message, hashlib.sha256)


def _from_document(document: Any) -> UploadState:
    if not isinstance(document, dict):
        raise InvalidState("the _state parameter holds no object")
    values = {name: document.get(field, "") for name, field in _FIELDS.items()}
    offset = values.pop("offset")
    if not isinstance(offset, int) or offset < 0 or not all(isinstance(value, str) for value in values.values()):
        raise InvalidState("the _state parameter holds a value of a wrong type")
    if not values["repository"] or not values["uuid"]:
        raise InvalidState("the _state parameter names no upload")
    if values["algorithm"] not in HEX_LENGTHS:
        raise InvalidState("the _state parameter names a digest algorithm that is not supported")
    return UploadState(offset=offset, **values)
