"""Bearer tokens over HTTP: the challenge, what each method needs, what is refused, and long uploads.

Sources: Docker's token specification, behaviour of Distribution, RFC 8725 for the attacks.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from matou.jwt.keyfiles import ensure_key_pair, load_private_key
from matou.jwt.keyids import libtrust_fingerprint
from matou.jwt.signing import sign
from tests.registry_http.client import Client, codes, connected, detail, error_of
from tests.registry_http.content import blob, image
from tests.registry_http.raw import exchange, request
from tests.unit.jwt.forge import encode, forge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from matou.jwt.keyids import PrivateKey
    from tests.servers.matou_registry import MatouRegistry

REALM = "https://portal.example.com/jwt/auth"
SERVICE = "container_registry"
ISSUER = "matou"
NAME = "group/image"
MISSING = "sha256:" + "0" * 64
UPLOAD = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    ensure_key_pair(folder / "token.key", folder / "token.crt")
    return folder


@pytest.fixture(scope="module")
def key(folder: Path) -> PrivateKey:
    return load_private_key(folder / "token.key")


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[MatouRegistry]:
    """A registry that wants tokens."""
    token = {"realm": REALM, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(folder / "token.crt")}
    with connected(folder / "registry", {"auth": {"token": token}}, workers=2) as client:
        yield client.registry


def claims(*access: tuple[str, str], **changes: Any) -> dict[str, Any]:
    """Return claims with access given as (repository, actions joined by commas); None takes a claim away."""
    now = int(time.time())
    values: dict[str, Any] = {
        "iss": ISSUER,
        "aud": SERVICE,
        "sub": "alice",
        "iat": now,
        "nbf": now - 5,
        "exp": now + 300,
        "jti": "1",
        "access": [{"type": "repository", "name": name, "actions": actions.split(",")} for name, actions in access],
    }
    return {name: value for name, value in (values | changes).items() if value is not None}


ALL = (NAME, "pull,push,delete")


class Caller:
    """Makes clients that hold a token."""

    def __init__(self, registry: MatouRegistry, key: PrivateKey) -> None:
        self.registry = registry
        self.key = key
        self._clients: list[Client] = []

    def __call__(self, *access: tuple[str, str], **changes: Any) -> Client:
        return self.with_token(sign(claims(*access, **changes), self.key))

    def with_token(self, token: str) -> Client:
        self._clients.append(Client(self.registry, {"Authorization": f"Bearer {token}"}))
        return self._clients[-1]

    def without(self) -> Client:
        self._clients.append(Client(self.registry))
        return self._clients[-1]

    def close(self) -> None:
        for client in self._clients:
            client.close()


@pytest.fixture
def caller(guarded: MatouRegistry, key: PrivateKey) -> Iterator[Caller]:
    made = Caller(guarded, key)
    yield made
    made.close()


def challenge(scope: str = "", error: str = "") -> str:
    text = f'Bearer realm="{REALM}",service="{SERVICE}"'
    text += (f',scope="{scope}"' if scope else "") + (f',error="{error}"' if error else "")
    if error == "insufficient_scope":
        text += f',error_description="requested access to the resource is denied: this login does not allow {scope}'
        text += (
            " (wrong name or missing right or container registry disabled)" if "repository:" in scope else ""
        ) + '"'
    return text


def check_refused(answer: httpx.Response, scope: str, error: str) -> None:
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"] == challenge(scope, error)
    if answer.request.method != "HEAD":
        assert codes(answer) == ["UNAUTHORIZED"]


# What each method of each route needs.
NEEDS = [
    ("GET", "/", ""),
    ("HEAD", "/", ""),
    ("GET", "/_catalog", "registry:catalog:*"),
    ("GET", f"/{NAME}/tags/list", f"repository:{NAME}:pull"),
    ("GET", f"/{NAME}/manifests/t", f"repository:{NAME}:pull"),
    ("HEAD", f"/{NAME}/manifests/t", f"repository:{NAME}:pull"),
    ("PUT", f"/{NAME}/manifests/t", f"repository:{NAME}:pull,push"),
    ("DELETE", f"/{NAME}/manifests/t", f"repository:{NAME}:delete"),
    ("DELETE", f"/{NAME}/tags/reference/t", f"repository:{NAME}:delete"),
    ("GET", f"/{NAME}/blobs/{MISSING}", f"repository:{NAME}:pull"),
    ("DELETE", f"/{NAME}/blobs/{MISSING}", f"repository:{NAME}:delete"),
    ("POST", f"/{NAME}/blobs/uploads/", f"repository:{NAME}:pull,push"),
    ("POST", f"/{NAME}/blobs/uploads/?mount={MISSING}&from=a/b", f"repository:{NAME}:pull,push repository:a/b:pull"),
    ("POST", f"/{NAME}/blobs/uploads/?mount={MISSING}&from={NAME}", f"repository:{NAME}:pull,push"),
    ("GET", f"/{NAME}/blobs/uploads/{UPLOAD}", f"repository:{NAME}:pull"),
    ("PATCH", f"/{NAME}/blobs/uploads/{UPLOAD}", f"repository:{NAME}:pull,push"),
    ("PUT", f"/{NAME}/blobs/uploads/{UPLOAD}", f"repository:{NAME}:pull,push"),
    ("DELETE", f"/{NAME}/blobs/uploads/{UPLOAD}", f"repository:{NAME}:pull,push"),
    ("GET", f"/{NAME}/referrers/{MISSING}", f"repository:{NAME}:pull"),
    ("OPTIONS", f"/{NAME}/manifests/t", ""),
]


@pytest.mark.parametrize(("method", "path", "scope"), NEEDS)
def test_challenge(caller: Caller, method: str, path: str, scope: str) -> None:
    """Without a token, with one for nothing, and with one that grants just what is asked for."""
    check_refused(caller.without().ask(method, path), scope, "")
    nothing = caller().ask(method, path)
    if not scope:
        assert nothing.status_code == 200
        return
    check_refused(nothing, scope, "insufficient_scope")
    if method != "HEAD":
        wanted = {(entry["Type"], entry["Name"], entry["Action"]) for entry in detail(nothing)}
        assert wanted == {
            (kind, name, action)
            for kind, name, actions in (part.split(":") for part in scope.split(" "))
            for action in actions.split(",")
        }
    access = [
        {"type": kind, "name": name, "actions": actions.split(",")}
        for kind, name, actions in (part.split(":") for part in scope.split(" "))
    ]
    assert caller(access=access).ask(method, path).status_code != 401


@pytest.mark.parametrize("actions", ["push", "delete", "pull", "", "PULL", "pulls", "pull,push"])
def test_only_what_is_granted(caller: Caller, actions: str) -> None:
    client = caller((NAME, actions))
    granted = set(actions.split(","))
    needed = {"GET": {"pull"}, "PUT": {"pull", "push"}, "DELETE": {"delete"}}
    for method, wanted in needed.items():
        assert (client.ask(method, f"/{NAME}/manifests/none").status_code != 401) == (wanted <= granted)


@pytest.mark.parametrize(
    "name", ["group", "group/image2", "group/image/x", "group/imag", "*", "", "Group/image", "group/*"]
)
def test_only_where_it_is_granted(caller: Caller, name: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert caller((name, "pull,push,delete,*")).ask(method, f"/{NAME}/manifests/none").status_code == 401


def test_star_is_every_action(caller: Caller) -> None:
    client = caller((NAME, "*"))
    made = client.push_image(NAME, "star")
    assert client.ask("DELETE", f"/{NAME}/manifests/{made.digest}").status_code == 202


def test_a_cached_manifest_is_not_for_everybody(caller: Caller) -> None:
    """Each worker answers from its cache now."""
    made = caller(ALL).push_image(NAME, "cached")
    reader = caller((NAME, "pull"))
    for _ in range(10):
        assert reader.ask("GET", f"/{NAME}/manifests/cached").content == made.content
    for other in (caller.without(), caller(("group/other", "pull")), caller((NAME, "push,delete"))):
        for method in ("GET", "HEAD"):
            for _ in range(4):
                assert other.ask(method, f"/{NAME}/manifests/cached").status_code == 401


class TestMount:
    """A mount needs pull where the blob comes from; without ``from`` only what the caller may pull is looked at."""

    def test_from_a_repository_of_others(self, caller: Caller) -> None:
        secret = caller(("secret/image", "pull,push")).push_blob("secret/image", blob())
        params = {"mount": secret.digest, "from": "secret/image"}
        answer = caller(ALL).ask("POST", f"/{NAME}/blobs/uploads/", params=params)
        check_refused(answer, f"repository:{NAME}:pull,push repository:secret/image:pull", "insufficient_scope")
        assert caller(ALL).ask("HEAD", f"/{NAME}/blobs/{secret.digest}").status_code == 404

    def test_anonymously_from_a_repository_of_others(self, caller: Caller) -> None:
        secret = caller(("secret/image", "pull,push")).push_blob("secret/image", blob())
        answer = caller(ALL).ask("POST", f"/{NAME}/blobs/uploads/", params={"mount": secret.digest})
        assert answer.status_code == 202
        assert caller(ALL).ask("HEAD", f"/{NAME}/blobs/{secret.digest}").status_code == 404

    def test_anonymously_from_one_of_many(self, caller: Caller) -> None:
        content = blob()
        for name in ("secret/a", "secret/b", "open/c"):
            caller((name, "pull,push")).push_blob(name, content)
        client = caller(ALL, ("open/c", "pull"))
        answer = client.ask("POST", f"/{NAME}/blobs/uploads/", params={"mount": content.digest})
        assert answer.status_code == 201
        assert client.follow(answer, "GET").content == content.content


def public_pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def part(**members: Any) -> str:
    return encode(json.dumps(members).encode())


def symmetric(claims: dict[str, Any], secret: bytes, header: dict[str, Any]) -> str:
    signed = f"{part(**header)}.{part(**claims)}"
    return f"{signed}.{encode(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def forged(key: PrivateKey) -> dict[str, str]:
    """Return tokens that must not be let in, by what is wrong with them."""
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    stranger_key = {"kty": "RSA"} | {
        name: encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))
        for name, number in zip("ne", vars_of(stranger), strict=True)
    }
    good = claims(ALL)
    kid = libtrust_fingerprint(key.public_key())
    token = sign(good, key)
    header, payload, signature = token.split(".")
    other = part(**claims(("secret/image", "*")))
    return {
        "nothing": "",
        "a word": "x",
        "two parts": f"{header}.{payload}",
        "four parts": f"{token}.x",
        "empty parts": "..",
        "no signature": f"{header}.{payload}.",
        "another payload": f"{header}.{other}.{signature}",
        "another signature": f"{header}.{payload}.{signature[:-8]}AAAAAAAA",
        "a bit of the signature": f"{header}.{payload}.{'B' if signature[0] != 'B' else 'C'}{signature[1:]}",
        "alg none": f"{part(typ='JWT', alg='none')}.{payload}.",
        "alg None": f"{part(typ='JWT', alg='None')}.{payload}.{signature}",
        "alg none with the key's id": f"{part(alg='none', kid=kid)}.{payload}.",
        "HS256 with the public key": symmetric(good, public_pem(key), {"typ": "JWT", "alg": "HS256"}),
        "HS256 with the public key and its id": symmetric(good, public_pem(key), {"alg": "HS256", "kid": kid}),
        "HS256 with nothing": symmetric(good, b"", {"typ": "JWT", "alg": "HS256", "kid": kid}),
        "HS256 with http.secret": symmetric(good, b"of-the-tests", {"typ": "JWT", "alg": "HS256"}),
        "no alg": f"{part(typ='JWT')}.{payload}.{signature}",
        "alg number": f"{part(alg=1)}.{payload}.{signature}",
        "another key": forge(good, stranger),
        "another key with our id": forge(good, stranger, kid=kid),
        "another key, given along": forge(good, stranger, jwk=stranger_key),
        "another key at a URL": forge(good, stranger, jku="http://127.0.0.1:1/keys"),
        "a key id of a path": forge(good, stranger, kid="../../../etc/passwd"),
        "a key id of SQL": forge(good, stranger, kid="' OR 1=1 --"),
        "a chain of nothing": forge(good, stranger, x5c=[]),
        "a chain of rubbish": forge(good, stranger, x5c=["AAAA", 7]),
        "an unknown critical extension": forge(good, key, crit=["exp2"], exp2=1),
        "another issuer": sign(claims(ALL, iss="other"), key),
        "no issuer": sign(claims(ALL, iss=None), key),
        "another audience": sign(claims(ALL, aud="other_registry"), key),
        "no audience": sign(claims(ALL, aud=None), key),
        "audiences without us": sign(claims(ALL, aud=["a", "b"]), key),
        "audience object": sign(claims(ALL, aud={SERVICE: 1}), key),
        "expired": sign(claims(ALL, exp=int(time.time()) - 120), key),
        "expired in 1970": sign(claims(ALL, exp=0), key),
        "never expires": sign(claims(ALL, exp=None), key),
        "expires as text": sign(claims(ALL, exp="2099"), key),
        "expires at 1e400": forge(json.dumps(claims(ALL)).replace('"exp"', '"exp":1e400,"x"').encode(), key),
        "not yet valid": sign(claims(ALL, nbf=int(time.time()) + 600), key),
        "issued in the future": sign(claims(ALL, iat=int(time.time()) + 600), key),
        "access text": sign(claims(access="repository:group/image:pull"), key),
        "access of numbers": sign(claims(access=[1, 2]), key),
        "access for nothing": sign(claims(access=[]), key),
        "no access": sign(claims(access=None), key),
        "access of another type": sign(claims(access=[{"type": "registry", "name": NAME, "actions": ["*"]}]), key),
        "not JSON": forge(b"not json", key),
        "a list": forge(b"[]", key),
        "deep": forge(b"[" * 20_000, key),
        "a header that is no JSON": f"{encode(b'x')}.{payload}.{signature}",
        "a deep header": f"{encode(b'[' * 10_000)}.{payload}.{signature}",
        "a claim twice": forge(json.dumps(good)[:-1].encode() + b',"sub":"root"}', key),
        "characters that are no base64": f"{header}.{payload}.!!!!",
        "70,000 characters": "a" * 70_000,
        "70,000 dots": "." * 70_000,
    }


def vars_of(key: rsa.RSAPrivateKey) -> tuple[int, int]:
    numbers = key.public_key().public_numbers()
    return numbers.n, numbers.e


def test_forged(caller: Caller, key: PrivateKey) -> None:
    """401 with a challenge and JSON for each, on a cached manifest and on a push; nothing unforeseen in the log."""
    made = caller(ALL).push_image(NAME, "forged")
    for _ in range(6):
        assert caller(ALL).ask("GET", f"/{NAME}/manifests/forged").content == made.content
    tokens = forged(key)
    assert len(tokens) >= 50
    for what, token in tokens.items():
        for method, path in (("GET", f"/{NAME}/manifests/forged"), ("POST", f"/{NAME}/blobs/uploads/")):
            data = request(method, f"/v2{path}", (f"Authorization: Bearer {token}",))
            answer = exchange(caller.registry, data)
            assert answer.status == 401, what
            assert answer.codes == ["UNAUTHORIZED"], what
            scope = f"repository:{NAME}:pull" + (",push" if method == "POST" else "")
            errors = ("", "invalid_token", "insufficient_scope")
            assert answer.headers["www-authenticate"] in {challenge(scope, error) for error in errors}, what
    assert caller.registry.tracebacks() == []
    log = caller.registry.log.read_text(errors="replace")
    for signature in {token.rpartition(".")[2] for token in tokens.values() if token.count(".") == 2}:
        assert len(signature) < 40 or signature not in log  # what would let others in is not logged


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic YWxpY2U6eA==",
        "Bearer",
        "Bearer ",
        "bearer",
        "Token x",
        "Negotiate",
        "",
        "é",
        "Bearer é",
        "\x01",
        ",",
        "Bearer a b",
    ],
)
def test_other_credentials(caller: Caller, authorization: str) -> None:
    data = request("GET", f"/v2/{NAME}/manifests/t", (f"Authorization: {authorization}",))
    answer = exchange(caller.registry, data)
    if authorization == "\x01":
        assert (answer.status, answer.body) == (400, b"")  # no header may have it
        return
    assert (answer.status, answer.codes) == (401, ["UNAUTHORIZED"])


def test_scheme_in_any_case(caller: Caller, key: PrivateKey) -> None:
    token = sign(claims(), key)
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert exchange(caller.registry, request("GET", "/v2/", (f"Authorization: {scheme} {token}",))).status == 200


class TestLongUploads:
    """An upload that was authorised at its start may be finished after its token expired; nothing else may be done."""

    EXPIRED = {"iat": -7200, "nbf": -7200, "exp": -3600}  # noqa: RUF012 -- never changed

    def expired(self, caller: Caller, *access: tuple[str, str], **changes: Any) -> Client:
        now = int(time.time())
        return caller(*access, **{name: now + value for name, value in self.EXPIRED.items()}, **changes)

    def test_finished_after_expiry(self, caller: Caller) -> None:
        content = blob(200)
        begun = caller(ALL).begin(NAME)
        late = self.expired(caller, ALL)
        answer = late.chunk(begun, content.content[:100], 0)
        assert answer.status_code == 202
        answer = late.chunk(answer, content.content[100:], 100)
        answer = late.follow(answer, "PUT", params={"digest": content.digest})
        assert answer.status_code == 201
        assert caller(ALL).follow(answer, "GET").content == content.content

    def test_nothing_else(self, caller: Caller) -> None:
        made = caller(ALL).push_image(NAME, "late")
        begun = caller(ALL).begin(NAME)
        late = self.expired(caller, ALL)
        refused = [
            late.ask("GET", "/"),
            late.ask("GET", f"/{NAME}/manifests/late"),
            late.put(NAME, image(blob().descriptor()), "late"),
            late.ask("DELETE", f"/{NAME}/manifests/{made.digest}"),
            late.ask("POST", f"/{NAME}/blobs/uploads/"),
            late.follow(begun, "GET"),
            late.follow(begun, "DELETE"),
            late.ask("PATCH", f"/{NAME}/blobs/uploads/{begun.headers['docker-upload-uuid']}", content=b"x"),
        ]
        assert [answer.status_code for answer in refused] == [401] * len(refused)
        assert 'error="invalid_token"' in refused[0].headers["www-authenticate"]

    @pytest.mark.parametrize(
        ("changes", "access"),
        [
            ({"sub": "mallory"}, ALL),
            ({"sub": None}, ALL),
            ({"aud": "other"}, ALL),
            ({"iss": "other"}, ALL),
            ({}, (NAME, "pull")),
            ({}, ("group/other", "pull,push")),
        ],
    )
    def test_not_by_others(self, caller: Caller, changes: dict[str, Any], access: tuple[str, str]) -> None:
        begun = caller(ALL).begin(NAME)
        late = self.expired(caller, access, **changes)
        assert late.chunk(begun, b"x", 0).status_code == 401
        assert late.follow(begun, "PUT", params={"digest": MISSING}, content=b"x").status_code == 401

    def test_not_another_upload(self, caller: Caller) -> None:
        """The state is of one upload of one repository."""
        begun = caller(ALL).begin(NAME)
        other = caller(("group/other", "pull,push")).begin("group/other")
        late = self.expired(caller, ALL, ("group/other", "pull,push"))
        state = begun.headers["location"].partition("?")[2]
        for where in (
            f"/group/other/blobs/uploads/{other.headers['docker-upload-uuid']}",
            f"/{NAME}/blobs/uploads/{UPLOAD}",
        ):
            answer = late.ask("PATCH", f"{where}?{state}", content=b"x")
            assert error_of(answer) == (404, ["BLOB_UPLOAD_INVALID"])
            answer = late.ask("PATCH", f"{where}?_state=forged", content=b"x")
            assert error_of(answer) == (404, ["BLOB_UPLOAD_INVALID"])

    def test_not_for_ever(self, caller: Caller) -> None:
        begun = caller(ALL).begin(NAME)
        day = 86_400
        late = caller(ALL, iat=int(time.time()) - 2 * day, nbf=None, exp=int(time.time()) - day - 120)
        assert late.chunk(begun, b"x", 0).status_code == 401

    def test_not_with_a_forged_token(self, caller: Caller, key: PrivateKey) -> None:
        begun = caller(ALL).begin(NAME)
        now = int(time.time())
        stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        late = caller.with_token(
            forge(claims(ALL, exp=now - 3600), stranger, kid=libtrust_fingerprint(key.public_key()))
        )
        assert late.chunk(begun, b"x", 0).status_code == 401


def test_where_the_client_came_in_is_where_it_is_sent(folder: Path) -> None:
    """``autoredirect``: the token service on the host that the client used, but on nothing that is no host."""
    token = {
        "realm": REALM,
        "service": SERVICE,
        "issuer": ISSUER,
        "rootcertbundle": str(folder / "token.crt"),
        "autoredirect": True,
        "autoredirectpath": "/jwt/auth",
    }
    with connected(folder / "redirecting", {"auth": {"token": token}}) as client:
        for headers, realm in [
            ({"Host": "r.example.com:5050"}, "http://r.example.com:5050/jwt/auth"),
            ({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "r.example.com"}, "https://r.example.com/jwt/auth"),
            ({"Forwarded": "host=r.example.com;proto=https"}, "https://r.example.com/jwt/auth"),
            ({"X-Forwarded-Host": 'r" ,error="x'}, REALM),
        ]:
            answer = client.ask("GET", "/", headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == f'Bearer realm="{realm}",service="{SERVICE}"'
