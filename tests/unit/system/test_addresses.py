from __future__ import annotations

import errno
import socket

import pytest

from matou.system.addresses import TcpAddress, reachable, resolve, split_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:5000", "127.0.0.1", 5000),
        (":5000", "", 5000),
        ("[::1]:5000", "::1", 5000),
        ("registry.example.com:0", "registry.example.com", 0),
        ("localhost:65535", "localhost", 65535),
    ],
)
def test_host_and_port(text: str, host: str, port: int) -> None:
    assert split_address(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    ["", "5000", "localhost", "localhost:", "localhost:http", "localhost:65536", "localhost:0099999", ":٣", ":-1"],
)
def test_what_is_no_address(text: str) -> None:
    for function in (split_address, resolve, reachable):
        with pytest.raises(ValueError, match="is not host:port"):
            function(text)


def test_resolving() -> None:
    assert resolve(":5000") == TcpAddress("0.0.0.0", 5000)
    assert resolve("[::1]:5000") == TcpAddress("::1", 5000)
    assert resolve("localhost:5000").port == 5000
    with pytest.raises(OSError, match=r"."):
        resolve("no.such.host.invalid:5000")


@pytest.mark.parametrize(
    ("text", "host"), [("0.0.0.0:1", "127.0.0.1"), (":1", "127.0.0.1"), ("[::]:1", "::1"), ("10.1.2.3:1", "10.1.2.3")]
)
def test_where_a_server_is_reached(text: str, host: str) -> None:
    assert reachable(text) == (host, 1)


def test_how_addresses_are_written() -> None:
    assert str(TcpAddress("127.0.0.1", 5000)) == "127.0.0.1:5000"
    assert str(TcpAddress("::1", 5000)) == "[::1]:5000"


def test_an_address_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use") as caught:
            TcpAddress("127.0.0.1", taken.getsockname()[1]).try_listening()
        assert caught.value.errno == errno.EADDRINUSE
    TcpAddress("127.0.0.1", 0).try_listening()
