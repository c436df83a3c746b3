"""The XML documents of S3.

Source: Amazon S3 API reference.
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
LARGEST = 8 << 20  # bytes; a page of 1,000 keys of 1,024 bytes, each encoded as three, is half of it
DOCTYPE = b"<!DOCTYPE"


class Document:
    """An element of a document; namespaces do not count, as not all services write them.

    Args:
        element: of it.
    """

    def __init__(self, element: ET.Element) -> None:
        self._element = element

    @classmethod
    def parse(cls, content: bytes, name: str) -> Document | None:
        """Return the root of a document; None where it is none, or has another name.

        What declares a document type is none: S3 never does, and entities are declared there.
        """
        if len(content) > LARGEST or DOCTYPE in content:
            return None
        try:
            # Entities that are hidden by another encoding are limited by expat since 2.4.1.
            element = ET.fromstring(content.strip())  # noqa: S314 -- as said
        except ET.ParseError:
            return None
        return cls(element) if _local(element.tag) == name else None

    def children(self, name: str) -> Iterator[Document]:
        """Yield the elements of a name directly below."""
        for element in self._element:
            if _local(element.tag) == name:
                yield Document(element)

    def text(self, name: str, default: str = "") -> str:
        """Return the text of the first element of a name directly below."""
        for element in self._element:
            if _local(element.tag) == name:
                return element.text or ""
        return default

    def fields(self) -> dict[str, str]:
        """Return the texts of all elements directly below, by their names."""
        return {_local(element.tag): element.text or "" for element in self._element}


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def time_of(text: str) -> float:
    """Return a time in seconds since the epoch.

    Raises:
        ValueError: it is none.
    """
    return datetime.fromisoformat(text).timestamp()


def key_of(text: str, encoding: str) -> str:
    """Return a key of a listing, which may be encoded as in URLs."""
    return unquote_plus(text) if encoding == "url" else text


def error_of(status: int, headers: Mapping[str, str], content: bytes) -> dict[str, Any]:
    """Return what an answer says that is not the wanted one, as the library of Amazon does.

    Args:
        status: of HTTP.
        headers: letter case does not count.
        content: of the answer; empty for HEAD.
    """
    document = Document.parse(content, "Error")
    fields = document.fields() if document is not None else {"Code": str(status), "Message": _phrase(status)}
    metadata = {
        "HTTPStatusCode": status,
        "HTTPHeaders": {name.lower(): value for name, value in headers.items()},
        "RequestId": fields.get("RequestId") or headers.get("x-amz-request-id", ""),
    }
    return {"Error": fields, "ResponseMetadata": metadata}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def deletion(keys: Sequence[str]) -> bytes:
    """Return the body of DeleteObjects."""
    objects = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
    return f'<Delete xmlns="{NAMESPACE}"><Quiet>true</Quiet>{objects}</Delete>'.encode()


def completion(parts: Sequence[tuple[int, str]]) -> bytes:
    """Return the body of CompleteMultipartUpload: numbers of parts and their tags, in order."""
    listed = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(tag)}</ETag></Part>" for number, tag in parts
    )
    return f'<CompleteMultipartUpload xmlns="{NAMESPACE}">{listed}</CompleteMultipartUpload>'.encode()
