"""What each method of each route does, for the reference page: a row for every entry of ``ROUTES`` but HEAD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One row.

    Attributes:
        title: what it does.
        specification: the endpoint's number, or whose API it is from.
        text: more about it, or "".
        parameters: of the query or headers, with their meaning.
        answers: status and headers, with what they mean.
        errors: codes of ``ERROR_CODES`` beside UNAUTHORIZED, UNAVAILABLE and UNKNOWN, which every operation may answer.
        further: which of the errors' further statuses occur.
    """

    title: str
    specification: str
    answers: Rows
    parameters: Rows = ()
    errors: tuple[str, ...] = ()
    text: str = ""
    further: tuple[int, ...] = ()


_NEXT = '`Link: <...>; rel="next"` when there are more'
_RANGE = ("`Content-Range`", "`<first byte>-<last byte>` of the chunk, from 0; must begin where the upload ends")
_SESSION = "`Location` for the next request, `Range: 0-<last byte>`, `Docker-Upload-UUID`"

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("base", "GET"): Operation(
        "is this a registry?",
        "end-1",
        (("200", "`{}`. `Gitlab-Container-Registry-Features: tag_delete` where tags can be deleted"),),
    ),
    ("catalog", "GET"): Operation(
        "list repositories",
        "Docker",
        (("200", f'`{{"repositories": [...]}}`, in order of their bytes. {_NEXT}'),),
        (
            ("`n`", "most entries; 100 unless given, `catalog.maxentries` at most"),
            ("`last`", "only those after this name"),
        ),
        ("PAGINATION_NUMBER_INVALID",),
        "Repositories without manifests are not listed.",
    ),
    ("tags", "GET"): Operation(
        "list tags",
        "end-8a, end-8b",
        (("200", f'`{{"name": ..., "tags": [...]}}`, in order of their bytes. {_NEXT}'),),
        (
            ("`n`", "most entries; all (up to 100,000) unless given, `tags.maxtags` at most"),
            ("`last`", "only those after this tag, which need not exist"),
        ),
        ("NAME_INVALID", "NAME_UNKNOWN", "PAGINATION_NUMBER_INVALID"),
    ),
    ("tag_reference", "DELETE"): Operation(
        "delete a tag",
        "GitLab",
        (("202", "the tag is gone; its manifest and other tags stay"),),
        errors=("NAME_INVALID", "MANIFEST_UNKNOWN"),
        text="The path that older versions of GitLab use.",
    ),
    ("manifest", "GET"): Operation(
        "pull a manifest",
        "end-3",
        (
            ("200", "the manifest, byte for byte: `Content-Type`, `Content-Length`, `Docker-Content-Digest`, `ETag`"),
            ("304", "it is the one that `If-None-Match` names"),
        ),
        (
            (
                "`Accept`",
                (
                    "types that the client takes; without it, or with `*/*`, what is stored is sent. An OCI manifest "
                    "that it does not name is MANIFEST_UNKNOWN; a Docker manifest list asked for by tag becomes its "
                    "linux/amd64 image"
                ),
            ),
            ("`If-None-Match`", "digest, in quotes or not, of what the client has"),
        ),
        ("NAME_INVALID", "DIGEST_INVALID", "MANIFEST_UNKNOWN"),
        "`<reference>` is a tag or a digest.",
    ),
    ("manifest", "PUT"): Operation(
        "push a manifest",
        "end-7a, end-7b",
        (
            (
                "201",
                (
                    "`Location` and `Docker-Content-Digest` of the manifest; `OCI-Subject` when it has a subject; "
                    "`OCI-Tag` for each tag of the query"
                ),
            ),
        ),
        (
            ("`Content-Type`", "its media type: an image or index of OCI or Docker. Parameters are ignored"),
            ("`tag`", "with a digest as `<reference>`: make this tag, too; may be repeated, 100 times at most"),
        ),
        (
            "NAME_INVALID",
            "TAG_INVALID",
            "DIGEST_INVALID",
            "MANIFEST_INVALID",
            "MANIFEST_BLOB_UNKNOWN",
            "MANIFEST_REFERENCE_LIMIT",
            "MANIFEST_SIZE_LIMIT",
        ),
        "At most 4 MiB. The blobs and images that it refers to must be in the repository, except layers that lie "
        "elsewhere; the subject need not.",
        (413, 414),
    ),
    ("manifest", "DELETE"): Operation(
        "delete a manifest or a tag",
        "end-9",
        (("202", "by digest: the manifest and all its tags are gone; by tag: the tag alone"),),
        errors=("NAME_INVALID", "DIGEST_INVALID", "MANIFEST_UNKNOWN"),
    ),
    ("blob", "GET"): Operation(
        "pull a blob",
        "end-2",
        (
            ("200", "the blob: `Content-Length`, `Docker-Content-Digest`, `ETag`, `Accept-Ranges: bytes`"),
            ("206", "the part of it that `Range` asks for, with `Content-Range`"),
            ("304", "it is the one that `If-None-Match` names"),
            (
                "307",
                "the object storage has it at `Location`, for a while; `Range` is to be repeated there",
            ),
        ),
        (
            ("`Range`", "of GET: one range of bytes; several are ignored"),
            ("`If-Range`", "only if this is the blob's `ETag`"),
            ("`If-None-Match`", "digest of what the client has"),
        ),
        ("NAME_INVALID", "DIGEST_INVALID", "BLOB_UNKNOWN", "RANGE_INVALID"),
    ),
    ("blob", "DELETE"): Operation(
        "delete a blob from the repository",
        "end-10",
        (("202", "it is gone from this repository"),),
        errors=("NAME_INVALID", "DIGEST_INVALID", "BLOB_UNKNOWN"),
    ),
    ("uploads", "POST"): Operation(
        "begin an upload, push a blob in one request, or mount one",
        "end-4a, end-4b, end-4c, end-11",
        (
            ("201", "pushed or mounted: `Location` and `Docker-Content-Digest` of the blob"),
            ("202", f"an upload has begun, also when there was nothing to mount: {_SESSION}"),
        ),
        (
            ("`digest`", "the body is the whole blob, which has this digest"),
            ("`mount`", "digest of a blob to mount"),
            (
                "`from`",
                (
                    "repository that has it, for which the token must grant `pull`; without it the registry looks "
                    "in those that the caller may pull"
                ),
            ),
            (
                "`digest-algorithm`",
                (
                    "`sha256` or `sha512`: that of the digest that will end the upload. With another one than "
                    "sha256, saying it saves reading the blob again"
                ),
            ),
        ),
        ("NAME_INVALID", "DIGEST_INVALID", "SIZE_INVALID", "BLOB_UPLOAD_INVALID"),
        "There is no least size of a chunk, so that `OCI-Chunk-Min-Length` is not sent.",
        (408,),
    ),
    ("upload", "GET"): Operation(
        "how far is an upload?",
        "end-13",
        (("204", _SESSION),),
        errors=("NAME_INVALID", "BLOB_UPLOAD_UNKNOWN"),
        text="The query of the `Location` is not needed here, so that a client that lost it can go on.",
    ),
    ("upload", "PATCH"): Operation(
        "append a chunk",
        "end-5",
        (("202", _SESSION),),
        (_RANGE, ("`_state`", "of the `Location`, as it is")),
        ("NAME_INVALID", "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "RANGE_INVALID", "SIZE_INVALID"),
        "The body may be of any length, also of one that is not announced. A token that was good when the upload "
        "began will do for 24 hours after it expired.",
        (408,),
    ),
    ("upload", "PUT"): Operation(
        "end an upload",
        "end-6",
        (("201", "`Location` and `Docker-Content-Digest` of the blob"),),
        (("`digest`", "of the whole blob"), _RANGE, ("`_state`", "of the `Location`, as it is")),
        (
            "NAME_INVALID",
            "DIGEST_INVALID",
            "BLOB_UPLOAD_UNKNOWN",
            "BLOB_UPLOAD_INVALID",
            "RANGE_INVALID",
            "SIZE_INVALID",
        ),
        "The body is the last chunk, or the whole blob, or nothing. With a digest that is not that of the content, "
        "the upload is cancelled. An expired token will do as for PATCH.",
        (408,),
    ),
    ("upload", "DELETE"): Operation(
        "cancel an upload",
        "end-14",
        (("204", "it is gone"),),
        (("`_state`", "of the `Location`; may be left out"),),
        ("NAME_INVALID", "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"),
    ),
    ("referrers", "GET"): Operation(
        "list the manifests whose subject is another",
        "end-12a, end-12b",
        (
            (
                "200",
                (
                    "an OCI index, empty when there are none; never 404. `OCI-Filters-Applied: artifactType` when "
                    "filtered. "
                    f"{_NEXT}"
                ),
            ),
        ),
        (
            ("`artifactType`", "only those of this type"),
            ("`n`", "most entries; 1,000 unless given and at most, fewer where annotations are large"),
            ("`last`", "only those after this digest"),
        ),
        ("NAME_INVALID", "DIGEST_INVALID", "PAGINATION_NUMBER_INVALID"),
    ),
}
