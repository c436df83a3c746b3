from __future__ import annotations

import errno
import socket

import pytest

from matou.system.addresses import TcpAddress, reachable, resolve, split_address, without_mapping


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
    assert resolve("[::1]:5000") == TcpAddress("::1", 5000)
    assert resolve("localhost:5000").port == 5000
    with pytest.raises(OSError, match=r"."):
        resolve("no.such.host.invalid:5000")


@pytest.mark.parametrize(
    ("text", "host"), [("0.0.0.0:1", "127.0.0.1"), (":1", "127.0.0.1"), ("[::]:1", "::1"), ("10.1.2.3:1", "10.1.2.3")]
)
def test_where_a_server_is_reached(text: str, host: str) -> None:
    assert reachable(text) == (host, 1)


def test_without_a_host_both_families_are_served() -> None:
    address = resolve(":0")
    with socket.socket(address.family, socket.SOCK_STREAM) as server:
        server.bind(address)
        server.listen()
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "::1") if address.host == "::" else ("127.0.0.1",):
            socket.create_connection((host, port), timeout=10).close()


class NoIpv6(socket.socket):
    """A machine without IPv6."""

    def __init__(self, family: int, kind: int) -> None:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        super().__init__(family, kind)


class OnlyIpv6(socket.socket):
    """A machine whose IPv6 sockets take no IPv4 (``net.ipv6.bindv6only``)."""

    def __init__(self, family: int, kind: int) -> None:
        super().__init__(family, kind)
        self.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


@pytest.mark.parametrize("machine", [NoIpv6, OnlyIpv6])
def test_without_a_host_ipv4_always_is(machine: type[socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matou.system.addresses.socket.socket", machine)
    assert resolve(":5000") == TcpAddress("0.0.0.0", 5000)


@pytest.mark.parametrize(
    ("peer", "written"),
    [("::ffff:10.1.2.3", "10.1.2.3"), ("::ffff:0:1", "::ffff:0:1"), ("::1", "::1"), ("10.1.2.3", "10.1.2.3"), ("", "")],
)
def test_how_peers_are_written(peer: str, written: str) -> None:
    assert without_mapping(peer) == written


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
