"""Configurations from texts, and their problems, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matou.config.distribution import ConfigurationError, parse_configuration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matou.config.distribution import Configuration

MINIMAL = "version: 0.1\nstorage: inmemory\n"


def parse(text: str, environ: Mapping[str, str] | None = None) -> Configuration:
    return parse_configuration(text.encode(), "config.yml", environ or {})


def errors(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, environ)
    return str(caught.value).splitlines()


def warnings(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    return [str(warning) for warning in parse(text, environ).warnings]
