from __future__ import annotations

import pytest
from django.conf import settings

from matou.jwt.keyfiles import ensure_key_pair


@pytest.fixture(scope="session", autouse=True)
def _key_pair() -> None:
    ensure_key_pair(settings.INSTALLATION.token_key, settings.INSTALLATION.token_certificate)
