"""The table of bad requests: over every route, each with the status and the error code that it must get.

Paths begin below ``/v2``. ``{blob}`` is a blob and ``{upload}`` an upload of the repository ``a/b`` with no bytes yet.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.registry_http.content import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, OCI_NONDISTRIBUTABLE, SCHEMA1
from tests.registry_http.raw import request

DIGEST = "sha256:" + "0" * 64
MANIFEST = "/a/b/manifests/t"
UPLOADS = "/a/b/blobs/uploads/"
UUID = "00000000-0000-4000-8000-000000000000"
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Bad:
    """A request and what must come back.

    Attributes:
        what: is wrong.
        data: the request.
        status: of the answer.
        code: of its only error; "" where the HTTP layer refuses what is no request at all.
        headers: that the answer must have.
        end: see ``exchange``.
    """

    what: str
    data: bytes
    status: int
    code: str
    headers: dict[str, str] = field(default_factory=dict)
    end: bool = False

    @property
    def id(self) -> str:
        line = self.data.split(b"\r\n", 1)[0].decode("utf-8", "replace")
        return f"{self.what}: {line.removesuffix(' HTTP/1.1')[:80]}"


def bad(what: str, line: str, status: int, code: str, *headers: str, body: bytes = b"", **answer: Any) -> Bad:
    method, _, path = line.partition(" ")
    return Bad(what, request(method, f"/v2{path}", headers, body), status, code, **answer)


# --- names --------------------------------------------------------------------------------------------------------

BAD_NAMES = ["A", "_a", "a/_b", "a..b", "a/%2e%2e/b", "a%00", "a%0ab", "%ff", "%c0%ae", "a%20b", "a//b", "a" * 256, "é"]
NAME_ROUTES = [
    "GET /{}/tags/list",
    "GET /{}/manifests/t",
    "HEAD /{}/manifests/t",
    "PUT /{}/manifests/t",
    "DELETE /{}/manifests/t",
    "GET /{}/blobs/" + DIGEST,
    "POST /{}/blobs/uploads/",
    "PATCH /{}/blobs/uploads/" + UUID,
    "GET /{}/referrers/" + DIGEST,
    "DELETE /{}/tags/reference/t",
    "OPTIONS /{}/manifests/t",
    f"POST /a/b/blobs/uploads/?mount={DIGEST}&from={{}}",
]
NAMES = [
    bad("name", route.format(name), 400, "NAME_INVALID")
    for number, route in enumerate(NAME_ROUTES)
    for name in (BAD_NAMES if number < 2 else BAD_NAMES[number % 5 :: 5])
    if name != "é" or "from=" not in route
]

# --- paths out of the tree ----------------------------------------------------------------------------------------

TRAVERSALS = [
    bad("path", f"GET {path}", status, code)
    for path, status, code in [
        ("/../../../etc/passwd", 404, "NAME_UNKNOWN"),
        ("/a/../../../../etc/passwd", 404, "NAME_UNKNOWN"),
        ("/../../etc/passwd/manifests/t", 400, "NAME_INVALID"),
        ("/%2e%2e/%2e%2e/etc/manifests/t", 400, "NAME_INVALID"),
        ("/%2e%2e%2f%2e%2e%2fetc/manifests/t", 400, "NAME_INVALID"),
        ("/%252e%252e/manifests/t", 400, "NAME_INVALID"),
        ("/a/%5c..%5c../manifests/t", 400, "NAME_INVALID"),
        ("/a/b/manifests/..", 404, "MANIFEST_UNKNOWN"),
        ("/a/b/manifests/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404, "NAME_UNKNOWN"),
        ("/a/b/manifests/..%5c..%5cx", 404, "MANIFEST_UNKNOWN"),
        ("/a/b/manifests/%00", 404, "MANIFEST_UNKNOWN"),
        ("/a/b/manifests/t%00.txt", 404, "MANIFEST_UNKNOWN"),
        ("/a/b/manifests/t%0d%0aSet-Cookie:%20a=b", 400, "DIGEST_INVALID"),
        ("/a/b/manifests/%0d%0aX", 404, "MANIFEST_UNKNOWN"),
        ("/a/b/blobs/../../../etc/passwd", 404, "NAME_UNKNOWN"),
        ("/a/b/blobs/sha256:..%2f..%2f..%2fetc", 404, "NAME_UNKNOWN"),
        ("/a/b/blobs/..", 400, "DIGEST_INVALID"),
        ("/a/b/blobs/uploads/..", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("/a/b/blobs/uploads/%2e%2e%2f%2e%2e%2fx", 404, "NAME_UNKNOWN"),
        ("/a/b/blobs/uploads/" + UUID.upper(), 404, "BLOB_UPLOAD_UNKNOWN"),
        ("/a/b/blobs/uploads/" + UUID + "%00", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("/a/b/blobs/uploads/" + UUID + "/data", 404, "NAME_UNKNOWN"),
        ("/a/b/_uploads/x", 404, "NAME_UNKNOWN"),
        ("/a/b/_manifests/tags/list", 400, "NAME_INVALID"),
        ("/_catalog/../a", 404, "NAME_UNKNOWN"),
        ("/a/b/referrers/..", 400, "DIGEST_INVALID"),
        ("/a/b/referrers/%2e%2e%2fx", 404, "NAME_UNKNOWN"),
    ]
]

# --- digests ------------------------------------------------------------------------------------------------------

BAD_DIGESTS = [
    "sha256:",
    "sha256:abc",
    "sha256:" + "0" * 63,
    "sha256:" + "0" * 65,
    "sha256:" + "A" * 64,
    "sha256:" + "g" * 64,
    "SHA256:" + "0" * 64,
    "sha512:" + "0" * 64,
    "md5:" + "0" * 32,
    "sha1:" + "0" * 40,
    "sha256%00:" + "0" * 64,
    ":" + "0" * 64,
    "::",
    "sha256:" + "0" * 64 + "%0a",
    "sha256:" + "%ef%bc%90" * 64,
    "sha256:" + "0" * 5000,
    "a+b.c:x",
]
DIGEST_ROUTES = [
    "GET /a/b/blobs/{}",
    "HEAD /a/b/blobs/{}",
    "DELETE /a/b/blobs/{}",
    "GET /a/b/manifests/{}",
    "PUT /a/b/manifests/{}",
    "DELETE /a/b/manifests/{}",
    "GET /a/b/referrers/{}",
    "POST /a/b/blobs/uploads/?digest={}",
    "POST /a/b/blobs/uploads/?mount={}",
]
DIGESTS = [
    bad("digest", route.format(digest), 400, "DIGEST_INVALID")
    for number, route in enumerate(DIGEST_ROUTES)
    for digest in (BAD_DIGESTS if number < 1 else BAD_DIGESTS[number % 3 :: 3])
] + [
    bad("digest", f"GET /a/b/blobs/{DIGEST}", 404, "BLOB_UNKNOWN"),
    bad("digest", "GET /a/b/blobs/", 400, "DIGEST_INVALID"),
    bad("digest", "GET /a/b/manifests/", 404, "MANIFEST_UNKNOWN"),
    bad("digest", "GET /a/b/referrers/", 400, "DIGEST_INVALID"),
    bad("digest of nothing that was sent", f"POST {UPLOADS}?digest={DIGEST}", 400, "DIGEST_INVALID", body=b"x"),
    bad("algorithm", f"POST {UPLOADS}?digest-algorithm=md5", 400, "DIGEST_INVALID"),
    bad("algorithm", f"POST {UPLOADS}?digest-algorithm=%00", 400, "DIGEST_INVALID"),
]

# --- tags ---------------------------------------------------------------------------------------------------------

TAGS = [
    bad("tag", f"PUT /a/b/manifests/{tag}", 400, "TAG_INVALID", f"Content-Type: {OCI_MANIFEST}", body=b"{}")
    for tag in (".", "-", "a" * 129, "a%20b", "%e4", "a%00", "a+b", "%F0%9F%90%B3")
] + [
    bad("tag", "PUT /a/b/manifests/", 400, "TAG_INVALID", f"Content-Type: {OCI_MANIFEST}", body=b"{}"),
    bad("tag", "DELETE /a/b/tags/reference/.", 404, "MANIFEST_UNKNOWN"),
    bad("tag", f"DELETE /a/b/tags/reference/{DIGEST}", 404, "MANIFEST_UNKNOWN"),
]

# --- pages --------------------------------------------------------------------------------------------------------

LIST_ROUTES = ["/a/b/tags/list", "/_catalog", f"/a/b/referrers/{DIGEST}"]
PAGES = [
    bad("n", f"GET {route}?n={number}", 400, "PAGINATION_NUMBER_INVALID")
    for route in LIST_ROUTES
    for number in ("-1", "x", "1.5", "1e9", "%00", "9" * 30, "%d9%a1", "1;2")
] + [
    bad("n", "GET /_catalog?n=100000", 400, "PAGINATION_NUMBER_INVALID"),
    bad("parameters", "GET /_catalog?" + "&".join(f"a{number}=1" for number in range(500)), 414, "UNSUPPORTED"),
    bad("parameters", f"POST {UPLOADS}?" + "&" * 3000, 414, "UNSUPPORTED"),
]

# --- ranges -------------------------------------------------------------------------------------------------------

RANGES = (
    [
        bad("range", "GET {blob}", 416, "RANGE_INVALID", f"Range: {value}", headers={"content-range": "bytes */100"})
        for value in (
            "bytes=100-",
            "bytes=5-4",
            "bytes=-0",
            "bytes=-",
            "bytes=a-b",
            "bytes=--1",
            "bytes=1-2-3",
            "bytes=",
        )
    ]
    + [
        bad("chunk range", "PATCH {upload}", status, code, f"Content-Range: {value}", body=b"x" * 10)
        for value, status, code in [
            ("1-10", 416, "RANGE_INVALID"),
            ("9-0", 416, "RANGE_INVALID"),
            ("x", 416, "RANGE_INVALID"),
            ("0-", 416, "RANGE_INVALID"),
            ("bytes */10", 416, "RANGE_INVALID"),
            ("0-99999999999999999999999", 416, "RANGE_INVALID"),
            ("0-8", 400, "SIZE_INVALID"),
            ("0-9999999999", 400, "SIZE_INVALID"),
        ]
    ]
    + [
        bad(
            "chunk range",
            f"PUT {{upload}}&digest={DIGEST}",
            416,
            "RANGE_INVALID",
            "Content-Range: 5-14",
            body=b"x" * 10,
        ),
        bad(
            "chunk range", f"PUT {{upload}}&digest={DIGEST}", 400, "SIZE_INVALID", "Content-Range: 0-99", body=b"x" * 10
        ),
    ]
)

# --- manifests ----------------------------------------------------------------------------------------------------

_CONFIG = {"mediaType": OCI_CONFIG, "digest": DIGEST, "size": 2}


def manifest(what: str, body: Any, content_type: str | None = OCI_MANIFEST, status: int = 400) -> Bad:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = () if content_type is None else (f"Content-Type: {content_type}",)
    return bad(f"manifest, {what}", f"PUT {MANIFEST}", status, "MANIFEST_INVALID", *headers, body=content)


def with_members(**members: Any) -> dict[str, Any]:
    """Return an image that is right but for the members; None takes one away."""
    body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": _CONFIG, "layers": []} | members
    return {name: value for name, value in body.items() if value is not ...}


BOMBS = [
    ("arrays in arrays", b"[" * 100_000),
    ("arrays in arrays, 4 MiB", b"[" * (4 * MEBIBYTE)),
    ("objects in objects", b'{"a":' * 100_000),
    ("objects in objects, closed", b'{"a":' * 900 + b"1" + b"}" * 900),
    ("deep in an annotation", b'{"schemaVersion":2,"x":' + b"[" * 200 + b"]" * 200 + b"}"),
    ("a number of 100,000 digits", b'{"schemaVersion":' + b"9" * 100_000 + b"}"),
    ("a number of 4 MiB", b"9" * (4 * MEBIBYTE)),
    ("an exponent", b'{"schemaVersion":1e999999999}'),
    ("names twice", b'{"schemaVersion":2,"schemaVersion":2}'),
    ("names twice, with escapes", b'{"schemaVersion":2,"schem\\u0061Version":2}'),
    ("names 100,000 times", b"{" + b'"a":1,' * 100_000 + b'"b":1}'),
    ("a string of 4 MiB", b'"' + b"a" * (4 * MEBIBYTE - 2) + b'"'),
    ("zeros", bytes(MEBIBYTE)),
    ("not UTF-8", b'{"schemaVersion":2,"a":"\xff\xfe"}'),
    ("UTF-16", json.dumps(with_members()).encode("utf-16")),
    ("UTF-32", json.dumps(with_members()).encode("utf-32")),
    ("a byte order mark", json.dumps(with_members()).encode("utf-8-sig")),
    ("half a surrogate pair", json.dumps(with_members(annotations={"a": "\ud800"})).encode()),
    ("half a surrogate pair as a name", json.dumps(with_members(**{"\udfff": 1})).encode()),
    ("half a surrogate pair as its type", json.dumps(with_members(mediaType="\ud800")).encode()),
    ("NaN", b'{"schemaVersion":NaN}'),
    ("Infinity", b'{"schemaVersion":-Infinity}'),
    ("a comment", b'{/* */"schemaVersion":2}'),
    ("a comma too many", b'{"schemaVersion":2,}'),
    ("cut off", json.dumps(with_members()).encode()[:-1]),
    ("two documents", json.dumps(with_members()).encode() * 2),
    ("nothing", b""),
    ("white space", b" \n"),
    ("text", b"blablabla"),
    ("null", b"null"),
    ("a list", b"[]"),
    ("a string", b'"sha256"'),
    ("compressed", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"),
]
WRONG_MEMBERS: list[tuple[str, dict[str, Any]]] = [
    ("no schemaVersion", {"schemaVersion": ...}),
    ("schemaVersion 3", {"schemaVersion": 3}),
    ("schemaVersion text", {"schemaVersion": "2"}),
    ("schemaVersion true", {"schemaVersion": True}),
    ("schemaVersion 2.0", {"schemaVersion": 2.0}),
    ("schemaVersion list", {"schemaVersion": [2]}),
    ("mediaType number", {"mediaType": 1}),
    ("mediaType list", {"mediaType": [OCI_MANIFEST]}),
    ("mediaType of another", {"mediaType": OCI_INDEX}),
    ("artifactType number", {"artifactType": 1}),
    ("artifactType object", {"artifactType": {}}),
    ("no config", {"config": ...}),
    ("config null", {"config": None}),
    ("config text", {"config": DIGEST}),
    ("config list", {"config": [_CONFIG]}),
    ("config without digest", {"config": {"mediaType": "x", "size": 1}}),
    ("config digest number", {"config": _CONFIG | {"digest": 1}}),
    ("config digest wrong", {"config": _CONFIG | {"digest": "sha256:../../../etc/passwd"}}),
    ("config digest of an unknown algorithm", {"config": _CONFIG | {"digest": "blake3:" + "0" * 64}}),
    ("config without size", {"config": {"mediaType": "x", "digest": DIGEST}}),
    ("config size negative", {"config": _CONFIG | {"size": -1}}),
    ("config size fraction", {"config": _CONFIG | {"size": 1.5}}),
    ("config size text", {"config": _CONFIG | {"size": "1"}}),
    ("config size true", {"config": _CONFIG | {"size": True}}),
    ("config size 2^63", {"config": _CONFIG | {"size": 1 << 63}}),
    ("config mediaType number", {"config": _CONFIG | {"mediaType": 7}}),
    ("layers object", {"layers": {}}),
    ("layers text", {"layers": "x"}),
    ("layers false", {"layers": False}),
    ("layers of text", {"layers": [DIGEST]}),
    ("layers of null", {"layers": [None]}),
    ("layers of lists", {"layers": [[_CONFIG]]}),
    ("20,001 layers", {"layers": [_CONFIG] * 20_001}),
    ("urls text", {"layers": [_CONFIG | {"urls": "https://example.com"}]}),
    ("urls of numbers", {"layers": [_CONFIG | {"urls": [1]}]}),
    (
        "urls of another scheme",
        {"layers": [_CONFIG | {"mediaType": OCI_NONDISTRIBUTABLE, "urls": ["file:///etc/passwd"]}]},
    ),
    ("platform text", {"layers": [_CONFIG | {"platform": "linux/amd64"}]}),
    ("annotations list", {"annotations": []}),
    ("annotations of numbers", {"annotations": {"a": 1}}),
    ("annotations of objects", {"annotations": {"a": {"b": "c"}}}),
    ("subject text", {"subject": DIGEST}),
    ("subject without digest", {"subject": {}}),
    ("subject list", {"subject": []}),
    ("also an index", {"manifests": []}),
    ("also schema 1", {"fsLayers": []}),
]
WRONG_INDEXES: list[tuple[str, dict[str, Any]]] = [
    ("no manifests", {}),
    ("manifests object", {"manifests": {}}),
    ("manifests of text", {"manifests": [DIGEST]}),
    ("also an image", {"manifests": [], "layers": []}),
    ("also a config", {"manifests": [], "config": _CONFIG}),
    ("20,001 manifests", {"manifests": [_CONFIG] * 20_001}),
]
MANIFESTS = [
    *(manifest(what, body) for what, body in BOMBS),
    *(manifest(what, with_members(**members)) for what, members in WRONG_MEMBERS),
    *(
        manifest(f"index, {what}", {"schemaVersion": 2, "mediaType": OCI_INDEX} | members, OCI_INDEX)
        for what, members in WRONG_INDEXES
    ),
    *(
        manifest(f"type {content_type}", with_members(mediaType=...), content_type)
        for content_type in (
            "application/json",
            "text/plain",
            "x",
            "*/*",
            ";",
            SCHEMA1,
            "application/" + "x" * 5000,
        )
    ),
    manifest("schema 1 without type", {"schemaVersion": 1, "fsLayers": []}, None),
    manifest("too large", b" " * (4 * MEBIBYTE + 1), status=413),
    Bad(
        "manifest, too large as announced",
        request(
            "PUT",
            f"/v2{MANIFEST}",
            (f"Content-Type: {OCI_MANIFEST}", f"Content-Length: {10**15}", "Expect: 100-continue"),
        ),
        413,
        "MANIFEST_INVALID",
    ),
    bad(
        "manifest, missing blobs",
        f"PUT {MANIFEST}",
        400,
        "MANIFEST_BLOB_UNKNOWN",
        f"Content-Type: {OCI_MANIFEST}",
        body=json.dumps(with_members()).encode(),
    ),
    bad(
        "manifest, of another digest",
        f"PUT /a/b/manifests/{DIGEST}",
        400,
        "DIGEST_INVALID",
        f"Content-Type: {OCI_MANIFEST}",
        body=json.dumps(with_members()).encode(),
    ),
]

# --- methods and endpoints ----------------------------------------------------------------------------------------

METHODS = [
    bad("method", line, 405, "UNSUPPORTED", headers={"allow": allow})
    for line, allow in [
        ("POST /", "GET, HEAD"),
        ("DELETE /_catalog", "GET, HEAD"),
        ("PUT /a/b/tags/list", "GET, HEAD"),
        ("GET /a/b/tags/reference/t", "DELETE"),
        ("PATCH /a/b/manifests/t", "DELETE, GET, HEAD, PUT"),
        (f"PUT /a/b/blobs/{DIGEST}", "DELETE, GET, HEAD"),
        ("GET /a/b/blobs/uploads/", "POST"),
        (f"POST /a/b/blobs/uploads/{UUID}", "DELETE, GET, HEAD, PATCH, PUT"),
        (f"DELETE /a/b/referrers/{DIGEST}", "GET, HEAD"),
        ("TRACE /a/b/manifests/t", "DELETE, GET, HEAD, PUT"),
        ("BREW /", "GET, HEAD"),
        ("get /", "GET, HEAD"),
        ("X" * 500 + " /", "GET, HEAD"),
    ]
] + [
    bad("endpoint", "GET /a", 404, "NAME_UNKNOWN"),
    bad("endpoint", "GET /a/b/unknown/x", 404, "NAME_UNKNOWN"),
    Bad("endpoint", request("GET", "/v1/search"), 404, "NAME_UNKNOWN"),
    Bad("endpoint", request("GET", "//v2/"), 404, "NAME_UNKNOWN"),
    Bad("endpoint", request("GET", "/V2/"), 404, "NAME_UNKNOWN"),
    Bad("endpoint", request("OPTIONS", "*"), 404, "NAME_UNKNOWN"),
    Bad("endpoint", request("CONNECT", "127.0.0.1:22"), 404, "NAME_UNKNOWN"),
    Bad("endpoint", request("GET", "http://127.0.0.1:22/x"), 404, "NAME_UNKNOWN"),
]

# --- uploads ------------------------------------------------------------------------------------------------------

BAD_STATES = ["", "x", "%00", "%ff", "a" * 9000, "A" * 400, "e30=", "....", "=" * 40, "__--" * 30]
UPLOAD_STATES = [
    bad("state", f"{method} /a/b/blobs/uploads/{UUID}?_state={state}{more}", 404, "BLOB_UPLOAD_INVALID", body=body)
    for method, more, body in (("PATCH", "", b"x"), ("PUT", f"&digest={DIGEST}", b"x"))
    for state in BAD_STATES
] + [
    bad("no state", f"PATCH /a/b/blobs/uploads/{UUID}", 404, "BLOB_UPLOAD_INVALID", body=b"x"),
    bad("no state", f"PUT /a/b/blobs/uploads/{UUID}?digest={DIGEST}", 404, "BLOB_UPLOAD_INVALID", body=b"x"),
    bad("state", f"DELETE /a/b/blobs/uploads/{UUID}?_state=x", 404, "BLOB_UPLOAD_INVALID"),
    bad("no upload", f"GET /a/b/blobs/uploads/{UUID}", 404, "BLOB_UPLOAD_UNKNOWN"),
    bad("no upload", f"DELETE /a/b/blobs/uploads/{UUID}", 404, "BLOB_UPLOAD_UNKNOWN"),
    bad("no upload", "GET /a/b/blobs/uploads/x", 404, "BLOB_UPLOAD_UNKNOWN"),
    bad("no upload", "PATCH /a/b/blobs/uploads/x", 404, "BLOB_UPLOAD_UNKNOWN", body=b"x"),
    bad("no digest", "PUT {upload}", 400, "DIGEST_INVALID", body=b"x"),
    bad("wrong digest", "PUT {upload}&digest=sha256:x", 400, "DIGEST_INVALID", body=b"x"),
    Bad(
        "broken off",
        request("POST", f"/v2{UPLOADS}?digest={DIGEST}", ("Content-Length: 100",), b"x" * 50),
        400,
        "SIZE_INVALID",
        end=True,
    ),
    Bad(
        "broken off",
        request("POST", f"/v2{UPLOADS}?digest={DIGEST}", (f"Content-Length: {3 * MEBIBYTE}",), b"x" * 50),
        400,
        "SIZE_INVALID",
        end=True,
    ),
    Bad(
        "chunked badly",
        request("POST", f"/v2{UPLOADS}?digest={DIGEST}", ("Transfer-Encoding: chunked",), b"zz\r\nx\r\n0\r\n\r\n"),
        400,
        "DIGEST_INVALID",
        end=True,
    ),
    Bad(
        "no such mount, and no digest",
        request("POST", f"/v2{UPLOADS}?mount=&digest="),
        400,
        "DIGEST_INVALID",
    ),
]

# --- what is no request: refused before the registry sees it ------------------------------------------------------

NO_REQUESTS = [
    Bad(what, data, status, "")
    for what, data, status in [
        ("no HTTP", b"garbage\r\n\r\n", 400),
        ("TLS", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", 400),
        ("bytes above ASCII in the path", b"GET /v2/\xe9 HTTP/1.1\r\nHost: r\r\n\r\n", 400),
        ("a version", b"GET /v2/ HTTP/9.9\r\nHost: r\r\n\r\n", 400),
        ("a space in a header's name", b"GET /v2/ HTTP/1.1\r\nHost : r\r\n\r\n", 400),
        ("a control character in a header", b"GET /v2/ HTTP/1.1\r\nHost: r\r\nX: a\x00b\r\n\r\n", 400),
        ("a line end in a header", b"GET /v2/ HTTP/1.1\r\nHost: r\r\nX: a\rb\r\n\r\n", 400),
        ("a length that is none", request("POST", f"/v2{UPLOADS}", ("Content-Length: x",)), 400),
        ("a negative length", request("POST", f"/v2{UPLOADS}", ("Content-Length: -1",)), 400),
        ("a length of 30 digits", request("POST", f"/v2{UPLOADS}", ("Content-Length: " + "9" * 30,)), 400),
        ("two lengths", request("POST", f"/v2{UPLOADS}", ("Content-Length: 1", "Content-Length: 2"), b"xx"), 400),
        ("a path of 100,000 bytes", request("GET", "/v2/" + "a" * 100_000), 414),
        ("200 headers", request("GET", "/v2/", tuple(f"X-{number}: a" for number in range(200))), 431),
        ("a header of 1 MB", request("GET", "/v2/", ("X: " + "a" * 1_000_000,)), 431),
    ]
]

ALL = [
    *NAMES,
    *TRAVERSALS,
    *DIGESTS,
    *TAGS,
    *PAGES,
    *RANGES,
    *MANIFESTS,
    *METHODS,
    *UPLOAD_STATES,
    *NO_REQUESTS,
]
