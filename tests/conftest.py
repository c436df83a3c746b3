"""What all tests need: a state directory of their own."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest
from django.conf import settings

HOME = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Give Django's settings, and programs that tests start, a directory that goes with the tests."""
    config.stash[HOME] = tempfile.TemporaryDirectory(prefix="matou-tests-")
    home = config.stash[HOME].name
    os.environ["MATOU_HOME"] = home
    settings.INSTALLATION = replace(settings.INSTALLATION, home=Path(home))
    # Argon2 takes tens of milliseconds on purpose.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # How long an example takes says how busy the machine is, not whether it is right.
    hypothesis.settings.register_profile(
        "matou", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("matou")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the directory."""
    config.stash[HOME].cleanup()
