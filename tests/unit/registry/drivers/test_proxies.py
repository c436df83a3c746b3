"""The proxies of the environment: what the variables mean, and that the requests of all drivers go by them."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

import pytest
from yarl import URL

from matou.registry.drivers.base import StorageError, Transient
from matou.registry.drivers.factory import Surroundings, open_driver
from matou.registry.drivers.proxies import Proxies
from tests.servers.scripted_http import Answer, Asked, scripted_server
from tests.unit.config.reading import parse

if TYPE_CHECKING:
    from pathlib import Path

PROXY = "http://proxy:3128"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
STORAGES = {
    "s3": "s3: {region: us-east-1, bucket: b, accesskey: a, secretkey: s, forcepathstyle: true, regionendpoint: 'URL'}",
    "gcs": "gcs: {bucket: b}",
    "azure": f"azure: {{accountname: a, accountkey: {base64.b64encode(b'key').decode()}, container: images, "
    "serviceurl: 'URL/a'}",
    "swift": "swift: {authurl: 'URL/auth/v1.0', username: 'u:u', password: p, container: c}",
    "oss": "oss: {region: cn-hangzhou, bucket: images, accesskeyid: a, accesskeysecret: s, endpoint: 'URL'}",
}
every_driver = pytest.mark.parametrize("name", list(STORAGES))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have no variable, and a ``~/.netrc`` that must not count."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password word\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))


@pytest.mark.parametrize(
    ("variables", "url", "expected"),
    [
        ({}, "https://s3.example.com", None),
        ({"HTTPS_PROXY": PROXY}, "https://s3.example.com", PROXY),
        ({"https_proxy": PROXY}, "https://s3.example.com", PROXY),
        ({"HTTPS_PROXY": PROXY, "https_proxy": "http://other"}, "https://s3.example.com", PROXY),
        ({"HTTPS_PROXY": "", "https_proxy": PROXY}, "https://s3.example.com", PROXY),
        ({"HTTP_PROXY": PROXY}, "https://s3.example.com", None),
        ({"HTTPS_PROXY": PROXY}, "http://s3.example.com", None),
        ({"ALL_PROXY": PROXY}, "https://s3.example.com", None),
        ({"HTTP_PROXY": "proxy:3128"}, "http://s3.example.com", PROXY),
        ({"HTTP_PROXY": " //proxy:3128 "}, "http://s3.example.com", PROXY),
        ({"HTTPS_PROXY": "https://user:word@proxy"}, "https://s3.example.com", "https://user:word@proxy"),
    ],
)
def test_which_variable_counts(variables: dict[str, str], url: str, expected: str | None) -> None:
    assert Proxies(variables).of(url) == (None if expected is None else URL(expected))


@pytest.mark.parametrize(
    ("exempt", "url", "is_direct"),
    [
        # As the documentation of httpproxy.Config has it.
        ("*", "http://s3.example.com", True),
        ("a.net, *", "http://s3.example.com", True),
        ("example.com", "http://example.com", True),
        ("example.com", "http://s3.example.com", True),
        ("EXAMPLE.com", "http://S3.example.COM", True),
        ("example.com", "http://badexample.com", False),
        ("example.com.", "http://example.com", False),
        (".example.com", "http://s3.example.com", True),
        (".example.com", "http://example.com", False),
        ("*.example.com", "http://s3.example.com", True),
        ("*.example.com", "http://example.com", False),
        ("a.net , example.com", "http://example.com", True),
        ("example.com:80", "http://s3.example.com", True),
        ("example.com:8080", "http://s3.example.com", False),
        ("example.com:8080", "http://s3.example.com:8080", True),
        (".example.com:443", "http://s3.example.com:443", True),
        ("münchen.example", "http://s3.xn--mnchen-3ya.example", True),
        ("xn--mnchen-3ya.example", "http://s3.münchen.example", True),
        ("10.0.0.1", "http://10.0.0.1", True),
        ("10.0.0.1", "http://10.0.0.2", False),
        ("10.0.0.1:9000", "http://10.0.0.1:9000", True),
        ("10.0.0.1:9000", "http://10.0.0.1:9001", False),
        ("10.0.0.0/8", "http://10.1.2.3:9000", True),
        ("10.1.2.3/8", "http://10.9.9.9", True),
        ("10.0.0.0/8", "http://11.1.2.3", False),
        ("10.0.0.0/8", "http://10.example.com", False),
        ("fd00::/8", "http://[fd00::1]:9000", True),
        ("fd00::1", "http://[fd00::1]", True),
        ("[fd00::1]:9000", "http://[fd00::1]:9000", True),
        ("[fd00::1]:9000", "http://[fd00::1]", False),
        ("10.0.0.0/8", "http://[::ffff:10.0.0.1]", True),
        (",,:80,.,*.,a b", "http://s3.example.com", False),
        # What is on this machine needs no entry.
        ("", "http://localhost:9000", True),
        ("", "http://127.0.0.1:9000", True),
        ("", "http://127.8.8.8", True),
        ("", "http://[::1]:9000", True),
        ("", "http://[::ffff:127.0.0.1]", True),
        ("", "http://localhost.example.com", False),
        ("", "http://10.0.0.1", False),
    ],
)
def test_what_is_reached_without_a_proxy(exempt: str, url: str, is_direct: bool) -> None:
    found = Proxies({"HTTP_PROXY": PROXY, "NO_PROXY": exempt}).of(url)
    assert found == (None if is_direct else URL(PROXY))


@pytest.mark.parametrize("given", ["socks5://user:word@proxy:1080", "http://user:word@proxy:99999", "http://"])
def test_what_is_no_proxy(given: str) -> None:
    proxies = Proxies({"HTTP_PROXY": given, "NO_PROXY": "a.net"})
    assert proxies.of("http://a.net") is None
    with pytest.raises(StorageError, match="HTTP_PROXY of the environment is no URL of an HTTP proxy") as caught:
        proxies.of("http://s3.example.com")
    assert "word" not in str(caught.value)


def read(name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Read an object of a storage at a URL."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    configuration = parse(f"version: 0.1\nstorage:\n  {STORAGES[name].replace('URL', url)}\n")

    async def whole() -> bytes:
        driver = open_driver(configuration, Surroundings(patience=0))
        try:
            return await driver.get("a")
        finally:
            await driver.close()

    return asyncio.run(whole())


def storage(asked: Asked) -> Answer:
    """Answer as a storage of any kind that has one object."""
    if asked.path.endswith("/auth/v1.0"):
        return Answer(200, headers={"X-Storage-Url": "http://storage.example.com/v1/a", "X-Auth-Token": "t"})
    return Answer(200, b"{}")


def through(
    script: Answer | None, name: str, url: str, monkeypatch: pytest.MonkeyPatch, no_proxy: str = ""
) -> list[Asked]:
    """Read an object through a proxy; return what the proxy was asked."""

    async def whole() -> list[Asked]:
        async with scripted_server(storage if script is None else lambda _: script) as proxy:
            for variable in ("HTTP_PROXY", "HTTPS_PROXY"):
                monkeypatch.setenv(variable, proxy.url.replace("://", "://user:word@"))
            monkeypatch.setenv("NO_PROXY", no_proxy)
            try:
                assert await asyncio.to_thread(read, name, url, monkeypatch) == b"{}"
            finally:
                asked = proxy.asked
        return asked

    return asyncio.run(whole())


@every_driver
def test_requests_go_through_the_proxy(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    asked = through(None, name, "http://storage.example.com", monkeypatch)
    assert asked
    credentials = "Basic " + base64.b64encode(b"user:word").decode()
    for one in asked:
        assert one.path.startswith("http://storage.example.com/")
        assert one.headers["host"] == "storage.example.com"
        assert one.headers["proxy-authorization"] == credentials
        assert not one.headers.get("authorization", "").startswith("Basic"), "of ~/.netrc"


@every_driver
def test_no_proxy_is_asked_for_what_is_exempt(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    asked: list[Asked] = []
    with pytest.raises(Transient):
        asked = through(None, name, "http://storage.invalid.example.com", monkeypatch, "example.com")
    assert asked == []


@every_driver
def test_a_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    refusing = Answer(407, b"no", {"Date": "Thu, 26 Nov 2026 00:00:00 GMT"})
    for url in ("http://storage.example.com", "https://storage.example.com"):
        with pytest.raises(StorageError, match="proxy") as caught:
            through(refusing, name, url, monkeypatch)
        assert "word" not in str(caught.value).replace("another user and password", "")
