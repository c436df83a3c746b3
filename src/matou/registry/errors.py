"""The registry's error codes as one table, and the exception that carries one to the client.

Sources: OCI Distribution Specification 1.1 "Error Codes", Docker Registry HTTP API V2 "Errors", and
``registry/api/errcode`` of Distribution and ``registry/api/v2/errors.go`` of GitLab's fork for the codes that only they
have. The reference page ``docs/reference/errors.md`` is made from ``ERROR_CODES``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One row of the error table.

    Attributes:
        code: as clients see it.
        status: HTTP status, unless the case is one of ``further``.
        message: as clients see it, unless an error has a better one.
        meaning: what was wrong, for the reference page.
        remedy: what to do about it.
        further: other statuses of the code, and when.
    """

    code: str
    status: int
    message: str
    meaning: str
    remedy: str
    further: tuple[tuple[int, str], ...] = ()


ERROR_CODES: Mapping[str, ErrorCode] = {
    row.code: row
    for row in (
        ErrorCode(
            "UNKNOWN",
            500,
            "unknown error",
            "The registry failed in a way that nobody foresaw.",
            "The log has the cause, under the request id that `detail` names. Please report it.",
        ),
        ErrorCode(
            "UNSUPPORTED",
            405,
            "The operation is unsupported.",
            "The path does not have the method, or a setting forbids it: maintenance, or deleting is switched off.",
            "`Allow` has the methods; `detail` names the setting.",
            ((414, "the query has too many parameters"),),
        ),
        ErrorCode(
            "UNAUTHORIZED",
            401,
            "authentication required",
            "No credentials came, or they are wrong, expired, or do not reach far enough; `detail` lists what is "
            "needed.",
            "Log in. If you are, you lack the role for this; if your client sends credentials, look whether a proxy "
            "removes the `Authorization` header. The log of the registry says why a token was refused.",
        ),
        ErrorCode(
            "DENIED",
            403,
            "requested access to the resource is denied",
            "The caller is known but may not do this. The registry itself answers UNAUTHORIZED, as clients then ask "
            "for another token; DENIED comes from a token service.",
            "Ask the project's maintainer for the role.",
        ),
        ErrorCode(
            "UNAVAILABLE",
            503,
            "service unavailable",
            "A health check fails, or storage is full, unreachable or broken. Nothing was stored.",
            "Repeat later. Administrators: the log has the cause, under the request id; make room, or mend the "
            "storage.",
        ),
        ErrorCode(
            "TOOMANYREQUESTS",
            429,
            "too many requests",
            "Too many passwords wait to be checked.",
            "Repeat after the seconds that `Retry-After` says.",
        ),
        ErrorCode(
            "DIGEST_INVALID",
            400,
            "provided digest did not match uploaded content",
            "The digest is malformed, of an algorithm other than sha256 and sha512, or not that of the content.",
            "Compare `digest` and `actual` in `detail`: where both are there, bytes were lost or changed on the way.",
        ),
        ErrorCode(
            "SIZE_INVALID",
            400,
            "provided length did not match content length",
            "Fewer or more bytes came than `Content-Length` or `Content-Range` announced.",
            "Ask for the upload's state and go on from there. If it happens again and again, look at the proxies' "
            "limits and time-outs.",
        ),
        ErrorCode(
            "RANGE_INVALID",
            416,
            "invalid content range",
            "Of a pull: no byte of the range exists, or it is malformed. Of a push: the chunk does not begin where the "
            "upload ends, or another request is writing to it.",
            "Of a push: go on at the place and the `Location` that the answer to a GET of the upload names.",
        ),
        ErrorCode(
            "NAME_INVALID",
            400,
            "invalid repository name",
            "The repository's name breaks the grammar; `detail` says which part of it and why.",
            "Names are lower case: parts of a-z and 0-9, joined by `/`, and within a part by one `.`, one or two `_` "
            "or any number of `-`; 255 characters at most.",
        ),
        ErrorCode(
            "TAG_INVALID",
            400,
            "manifest tag did not match URI",
            "The tag breaks the grammar.",
            "Tags have 1 to 128 of A-Z a-z 0-9 _ . -, and neither . nor - first.",
            ((414, "more than 100 tags in one request"),),
        ),
        ErrorCode(
            "NAME_UNKNOWN",
            404,
            "repository name not known to registry",
            "Nothing was ever pushed to the repository, or the path is none of the registry's.",
            "Look at the name and at the [endpoints](endpoints.md).",
        ),
        ErrorCode(
            "MANIFEST_UNKNOWN",
            404,
            "manifest unknown",
            "The repository has no such tag or manifest, or has it in a form that the `Accept` header does not name.",
            "Look at the name and the tag; the list of tags tells what there is.",
        ),
        ErrorCode(
            "MANIFEST_INVALID",
            400,
            "manifest invalid",
            "The manifest is malformed or not acceptable; `detail` says where and why.",
            "Push with a current client. Docker's manifest schema 1 is refused: the `reason` names its setting.",
            ((413, "it is larger than 4 MiB"),),
        ),
        ErrorCode(
            "MANIFEST_REFERENCE_LIMIT",
            400,
            "too many manifest references",
            "The manifest has more references than `validation.manifests.referencelimit` allows.",
            "Split the index, or ask the administrator to raise the limit.",
        ),
        ErrorCode(
            "MANIFEST_SIZE_LIMIT",
            400,
            "payload size limit exceeded",
            "The manifest is larger than `validation.manifests.payloadsizelimit` allows.",
            "Move annotations and data into blobs, or ask the administrator to raise the limit.",
        ),
        ErrorCode(
            "MANIFEST_BLOB_UNKNOWN",
            400,
            "blob unknown to registry",
            "The manifest refers to a blob or manifest that the repository lacks: an entry for each, with its digest "
            "in `detail`.",
            "Push what is missing to the same repository first; the images of an index, too.",
        ),
        ErrorCode(
            "BLOB_UNKNOWN",
            404,
            "blob unknown to registry",
            "The repository has no such blob.",
            "Push it, or mount it from a repository that has it.",
        ),
        ErrorCode(
            "BLOB_UPLOAD_UNKNOWN",
            404,
            "blob upload unknown to registry",
            "The upload ended, was cancelled or purged, or never was.",
            "Begin a new one.",
        ),
        ErrorCode(
            "BLOB_UPLOAD_INVALID",
            404,
            "blob upload invalid",
            "The `_state` of the upload's URL is missing, damaged, of another upload, or signed by another registry.",
            "Use each `Location` as it is. Administrators: all replicas need the same `http.secret`, and without one "
            "it changes with every restart.",
            ((408, "the client sent next to nothing for a quarter of an hour"),),
        ),
        ErrorCode(
            "PAGINATION_NUMBER_INVALID",
            400,
            "invalid number of results requested",
            "`n` is no whole number from 0 up, or is larger than `catalog.maxentries`.",
            "`detail` has the limit.",
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
