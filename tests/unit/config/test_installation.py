"""The environment variables of an installation."""

from __future__ import annotations

import pytest

from matou.config.installation import Installation, InstallationError


def test_addresses_become_urls() -> None:
    found = Installation.from_environ({"MATOU_PORTAL_ADDR": "[::1]:8080", "MATOU_REGISTRY_ADDR": "localhost:5000"})
    assert (found.portal_url, found.registry_url) == ("http://[::1]:8080", "http://localhost:5000")


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"MATOU_PORTAL_ADDR": "8080"}, "MATOU_PORTAL_ADDR is '8080'; expected host:port"),
        ({"MATOU_REGISTRY_ADDR": ":5000"}, "MATOU_REGISTRY_ADDR is ':5000'; expected host:port"),
        ({"MATOU_REGISTRY_ADDR": "localhost:0"}, "MATOU_REGISTRY_ADDR is 'localhost:0'; expected host:port"),
        ({"MATOU_REGISTRY_ADDR": "localhost:65536"}, "MATOU_REGISTRY_ADDR is 'localhost:65536'; expected host:port"),
        ({"MATOU_REGISTRY_ADDR": "::1:5000"}, r"expected an IPv6 address in brackets: \[::1\]:5000"),
        ({"MATOU_PORTAL_ADDR": "[::1:8080"}, "expected an IPv6 address in brackets"),
        ({"MATOU_REGISTRY_ADDR": "127.0.0.1:8080"}, "are both '127.0.0.1:8080'; expected an address for each"),
        ({"MATOU_REGISTRY_WORKERS": "0"}, "MATOU_REGISTRY_WORKERS is '0'; expected a whole number from 1 to 256"),
        ({"MATOU_REGISTRY_WORKERS": "257"}, "MATOU_REGISTRY_WORKERS is '257'; expected a whole number from 1 to 256"),
        ({"MATOU_REGISTRY_WORKERS": "two"}, "MATOU_REGISTRY_WORKERS is 'two'; expected a whole number from 1 to 256"),
    ],
)
def test_what_cannot_be_used(variables: dict[str, str], told: str) -> None:
    with pytest.raises(InstallationError, match=told):
        Installation.from_environ(variables)
