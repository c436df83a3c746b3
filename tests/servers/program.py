"""The installed command, and an environment in which no setting of whoever runs the tests counts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

MATOU = Path(sys.executable).parent / "matou"


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without settings of Matou and of registries, but with ``variables``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MATOU_", "REGISTRY_"))}
    return kept | variables
