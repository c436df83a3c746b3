"""The installed command, and an environment in which no setting of whoever runs the tests counts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MATOU = Path(sys.executable).parent / "matou"


# Settings of Matou, of registries, and of the libraries of storage vendors.
FOREIGN = ("MATOU_", "REGISTRY_", "AWS_", "AZURE_", "GOOGLE_", "GCLOUD_", "OSS_", "OS_", "STORAGE_EMULATOR_HOST")


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without settings of registries and of storage, but with ``variables``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return kept | variables


def refusal(configuration: Path | str, **variables: str) -> str:
    """Start a registry that does not get to serve; return the one line that says why."""
    done = subprocess.run(
        [MATOU, "registry", "serve", configuration],
        env=environment(**variables, LANGUAGE="en"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("matou: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """End a program as a person does, and with SIGKILL when it has not ended in time."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
