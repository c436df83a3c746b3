"""REG-5: names by Distribution's grammar; a refusal says which part is wrong and why."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.registry_http.client import detail, error_of

if TYPE_CHECKING:
    from tests.registry_http.client import Client

GOOD = [
    "a",
    "0",
    "a/b/c/d/e/f/g/h/i/j/k/l/m",
    "a.b",
    "a_b",
    "a__b",
    "a-b",
    "a---b",
    "a.b_c-d__e--f",
    "0.0",
    "my-group/my_project/my.image",
    "a" * 255,
    "/".join(["a"] * 128),
    "_catalog".removeprefix("_"),
    "xn--80ak6aa92e",
]

# A name, and what the refusal says: the part, and the reason.
BAD = [
    ("_a", "'_a' begins with '_'; it must begin with a letter or digit"),
    ("a/_b", "'_b' begins with '_'; it must begin with a letter or digit"),
    ("a_", "'a_' ends with '_'; it must end with a letter or digit"),
    ("-a", "'-a' begins with '-'; it must begin with a letter or digit"),
    ("a-", "'a-' ends with '-'; it must end with a letter or digit"),
    ("group/a-/c", "'a-' ends with '-'; it must end with a letter or digit"),
    (".a", "'.a' begins with '.'; it must begin with a letter or digit"),
    ("a.", "'a.' ends with '.'; it must end with a letter or digit"),
    ("a..b", "'a..b' has separators in a row that are not allowed"),
    ("a___b", "'a___b' has separators in a row that are not allowed"),
    ("a._b", "'a._b' has separators in a row that are not allowed"),
    ("a-_b", "'a-_b' has separators in a row that are not allowed"),
    ("a.-b", "'a.-b' has separators in a row that are not allowed"),
    ("A", "'A' has upper-case letters; names are lower case"),
    ("a/Bc/d", "'Bc' has upper-case letters; names are lower case"),
    ("a b", "'a b' has ' '; allowed are a-z, 0-9"),
    ("a+b", "'a+b' has '+'; allowed are a-z, 0-9"),
    ("a:b", "'a:b' has ':'; allowed are a-z, 0-9"),
    ("a@b", "'a@b' has '@'; allowed are a-z, 0-9"),
    ("a~b", "'a~b' has '~'; allowed are a-z, 0-9"),
    ("ä", "'ä' has 'ä'; allowed are a-z, 0-9"),
    ("码头", "'码头' has '头'; allowed are a-z, 0-9"),
    ("\u0661", "has '\u0661'; allowed are a-z, 0-9"),  # a digit, but not of ours
    ("a\n", "has '\\n'; allowed are a-z, 0-9"),
    ("a\x00b", "has '\\x00'; allowed are a-z, 0-9"),
    ("a\\b", "allowed are a-z, 0-9"),
    ("a//b", "'' is empty: a name neither begins nor ends with a slash and has no two in a row"),
    ("/a", "'' is empty"),
    ("a/", "'' is empty"),
    ("..", "'..' begins with '.'"),
    ("a/../b", "'..' begins with '.'"),
    ("a/./b", "'.' begins with '.'"),
    ("a" * 256, "it has 256 characters; at most 255 are allowed"),
    ("/".join(["a"] * 129), "it has 257 characters; at most 255 are allowed"),
]


@pytest.mark.parametrize("name", GOOD)
def test_good(client: Client, name: str) -> None:
    made = client.push_image(name, "t")
    assert client.ask("GET", f"/{name}/manifests/t").content == made.content
    assert client.ask("GET", f"/{name}/tags/list").json() == {"name": name, "tags": ["t"]}
    assert client.ask("DELETE", f"/{name}/manifests/{made.digest}").status_code == 202


@pytest.mark.parametrize(("method", "rest"), [("GET", "manifests/t"), ("POST", "blobs/uploads/"), ("GET", "tags/list")])
@pytest.mark.parametrize(("name", "reason"), BAD)
def test_bad(client: Client, name: str, reason: str, method: str, rest: str) -> None:
    # Percent-encoded, so that the client on the way does not tidy it.
    answer = client.ask(method, f"/{quote(name, safe='').replace('.', '%2E')}/{rest}")
    assert error_of(answer) == (400, ["NAME_INVALID"])
    assert detail(answer)["name"] == name[:256]
    assert reason in detail(answer)["reason"]


@pytest.mark.parametrize(("name", "reason"), BAD)
def test_bad_source_of_a_mount(client: Client, name: str, reason: str) -> None:
    params = {"mount": "sha256:" + "0" * 64, "from": name}
    answer = client.ask("POST", "/a/blobs/uploads/", params=params)
    assert error_of(answer) == (400, ["NAME_INVALID"])
    assert reason in detail(answer)["reason"]
