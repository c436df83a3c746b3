"""The documents of S3, as Amazon and others write them."""

from __future__ import annotations

import pytest

from matou.registry.drivers.s3.documents import LARGEST, Document, completion, deletion, error_of, key_of, time_of

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


@pytest.mark.parametrize("namespace", [NAMESPACE, ""])
@pytest.mark.parametrize("before", [b"", b"\n   ", b"<?xml version='1.0'?>\n  "])
def test_documents_are_found_by_their_names(namespace: str, before: bytes) -> None:
    content = before + f"<R {namespace}><A>1</A><B><C>x</C><C/></B><B/></R>".encode()
    document = Document.parse(content, "R")
    assert document is not None
    assert (document.text("A"), document.text("Z", "-")) == ("1", "-")
    assert [[each.text("C") for each in part.children("C")] for part in document.children("B")] == [["", ""], []]
    assert [part.fields() for part in document.children("B")] == [{"C": ""}, {}]
    assert Document.parse(content, "Q") is None


@pytest.mark.parametrize("content", [b"", b"text", b"<a><b></a>", b"<!DOCTYPE html><html><meta></html>", b"\xff\xfe<"])
def test_what_is_no_document(content: bytes) -> None:
    assert Document.parse(content, "R") is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_do_not_blow_up(encoding: str) -> None:
    entities = "".join(f'<!ENTITY a{number} "{f"&a{number - 1};" * 10}">' for number in range(1, 12))
    bomb = f'<!DOCTYPE R [<!ENTITY a0 "0123456789">{entities}]><R>&a11;</R>'
    assert Document.parse(bomb.encode(encoding), "R") is None


@pytest.mark.parametrize(
    "content", [b'<!DOCTYPE R [<!ENTITY a "x">]><R>&a;</R>', b"<R>" + b" " * LARGEST + b"</R>", b"<R>" * 100_000]
)
def test_what_s3_never_sends(content: bytes) -> None:
    assert Document.parse(content, "R") is None


def test_errors_are_as_the_library_has_them() -> None:
    content = (
        f"<Error {NAMESPACE}><Code>NoSuchKey</Code><Message>No.</Message><RequestId>R</RequestId></Error>".encode()
    )
    headers = {"X-Amz-Request-Id": "H", "Content-Type": "application/xml"}
    ours = error_of(404, headers, content)
    assert ours["Error"] == {"Code": "NoSuchKey", "Message": "No.", "RequestId": "R"}
    assert ours["ResponseMetadata"] == {
        "HTTPStatusCode": 404,
        "HTTPHeaders": {"x-amz-request-id": "H", "content-type": "application/xml"},
        "RequestId": "R",
    }
    assert error_of(403, {}, b"")["Error"] == {"Code": "403", "Message": "Forbidden"}
    assert error_of(599, {}, b"")["Error"] == {"Code": "599", "Message": ""}


def test_what_is_sent_is_what_the_library_sends() -> None:
    document = Document.parse(deletion(["a/b", "<&>"]), "Delete")
    assert document is not None
    assert document.text("Quiet") == "true"
    assert [each.text("Key") for each in document.children("Object")] == ["a/b", "<&>"]
    document = Document.parse(completion([(1, '"x"'), (2, '"<y>"')]), "CompleteMultipartUpload")
    assert document is not None
    assert [each.fields() for each in document.children("Part")] == [
        {"PartNumber": "1", "ETag": '"x"'},
        {"PartNumber": "2", "ETag": '"<y>"'},
    ]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-25T22:00:00.000Z", 1795644000.0),
        ("2026-11-25T22:00:00Z", 1795644000.0),
        ("2026-11-25T22:00:00.5Z", 1795644000.5),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert time_of(text) == seconds


def test_keys_may_be_encoded() -> None:
    assert key_of("a%2Fb+c%2Bd", "url") == "a/b c+d"
    assert key_of("a%2Fb+c", "") == "a%2Fb+c"
