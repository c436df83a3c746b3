"""The registry's error codes as one table, and the exception that carries one to the client.

Sources: OCI Distribution Specification 1.1 "Error Codes", Docker Registry HTTP API V2 "Errors", and
``registry/api/errcode`` of Distribution and ``registry/api/v2/errors.go`` of GitLab's fork for the codes that only they
have. The reference page is generated
from ``ERROR_CODES``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One row of the error table."""

    code: str
    status: int
    message: str
    meaning: str


ERROR_CODES: Mapping[str, ErrorCode] = {
    row.code: row
    for row in (
        ErrorCode("UNKNOWN", 500, "unknown error", "The registry failed; its log has the request id and the cause."),
        ErrorCode(
            "UNSUPPORTED",
            405,
            "The operation is unsupported.",
            "The method is not allowed here, or a setting forbids it.",
        ),
        ErrorCode("UNAUTHORIZED", 401, "authentication required", "No, wrong or insufficient credentials."),
        ErrorCode(
            "DENIED",
            403,
            "requested access to the resource is denied",
            "The caller is known but may not do this.",
        ),
        ErrorCode(
            "UNAVAILABLE",
            503,
            "service unavailable",
            "A health check fails, or storage is full or unreachable.",
        ),
        ErrorCode("TOOMANYREQUESTS", 429, "too many requests", "Repeat later; Retry-After says when."),
        ErrorCode(
            "DIGEST_INVALID",
            400,
            "provided digest did not match uploaded content",
            "The digest is malformed or not that of the content.",
        ),
        ErrorCode(
            "SIZE_INVALID",
            400,
            "provided length did not match content length",
            "The announced length is not that of the content, or a limit is exceeded.",
        ),
        ErrorCode(
            "RANGE_INVALID",
            416,
            "invalid content range",
            "The range is malformed, out of order or out of bounds.",
        ),
        ErrorCode("NAME_INVALID", 400, "invalid repository name", "The repository name breaks the grammar."),
        ErrorCode("TAG_INVALID", 400, "manifest tag did not match URI", "The tag breaks the grammar."),
        ErrorCode("NAME_UNKNOWN", 404, "repository name not known to registry", "There is no such repository."),
        ErrorCode("MANIFEST_UNKNOWN", 404, "manifest unknown", "There is no such tag or manifest in the repository."),
        ErrorCode("MANIFEST_INVALID", 400, "manifest invalid", "The manifest is malformed or not acceptable."),
        ErrorCode(
            "MANIFEST_REFERENCE_LIMIT",
            400,
            "too many manifest references",
            "The manifest has more references than validation.manifests.referencelimit allows.",
        ),
        ErrorCode(
            "MANIFEST_SIZE_LIMIT",
            400,
            "payload size limit exceeded",
            "The manifest is larger than validation.manifests.payloadsizelimit allows.",
        ),
        ErrorCode(
            "MANIFEST_UNVERIFIED",
            400,
            "manifest failed signature verification",
            "A schema 1 signature is wrong.",
        ),
        ErrorCode(
            "MANIFEST_BLOB_UNKNOWN",
            400,
            "blob unknown to registry",
            "The manifest refers to a blob or manifest that the repository lacks.",
        ),
        ErrorCode("BLOB_UNKNOWN", 404, "blob unknown to registry", "There is no such blob in the repository."),
        ErrorCode(
            "BLOB_UPLOAD_UNKNOWN",
            404,
            "blob upload unknown to registry",
            "The upload ended, was purged or never was.",
        ),
        ErrorCode(
            "BLOB_UPLOAD_INVALID",
            404,
            "blob upload invalid",
            "The upload's state is forged or of another upload.",
        ),
        ErrorCode(
            "PAGINATION_NUMBER_INVALID",
            400,
            "invalid number of results requested",
            "The parameter n is not a number in the allowed range.",
        ),
    )
}


class RegistryError(Exception):
    """An answer other than success, as the client sees it.

    Attributes:
        code: key of ``ERROR_CODES``.
        message: replaces the table's message when given.
        detail: any JSON value: what was wrong, what was expected, what to do.
        status: HTTP status; the table's unless given.
        headers: further response headers.
        others: further errors of the same answer (one for each missing blob of a manifest, say).
    """

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        detail: Any = None,
        status: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        others: tuple[RegistryError, ...] = (),
    ) -> None:
        row = ERROR_CODES[code]
        self.code = code
        self.message = message or row.message
        self.detail = detail
        self.status = status or row.status
        self.headers = headers
        self.others = others
        super().__init__(f"{code}: {self.message}" + (f" ({detail})" if detail is not None else ""))

    def document(self) -> dict[str, Any]:
        """Return the body: ``{"errors": [{"code", "message", "detail"?}, ...]}``."""
        return {"errors": [error.entry() for error in (self, *self.others)]}

    def entry(self) -> dict[str, Any]:
        """Return this error's own entry of the document."""
        entry: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.detail is not None:
            entry["detail"] = self.detail
        return entry
