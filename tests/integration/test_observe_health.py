"""A registry whose health checks fail answers 503 until they are well again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.servers.matou_registry import running_registry
from tests.servers.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 30.0


@pytest.mark.parametrize("workers", [1, 2])
def test_file(tmp_path: Path, workers: int) -> None:
    flag = tmp_path / "out-of-service"
    health = {"file": [{"file": str(flag), "interval": "50ms"}], "storagedriver": {"enabled": True, "interval": "1s"}}
    with running_registry(tmp_path / "registry", {"health": health}, workers) as registry:

        def statuses() -> set[int]:
            # A connection each, so that every worker gets some.
            return {httpx.get(f"{registry.url}/v2/", timeout=30, trust_env=False).status_code for _ in range(8)}

        assert statuses() == {200}
        flag.touch()
        wait_until(lambda: statuses() == {503})
        answer = httpx.get(f"{registry.url}/v2/a/manifests/b", timeout=30, trust_env=False)
        assert answer.json() == {
            "errors": [
                {
                    "code": "UNAVAILABLE",
                    "message": "service unavailable",
                    "detail": "health check failed: please see /debug/health",
                }
            ]
        }
        flag.unlink()
        wait_until(lambda: statuses() == {200})
    assert registry.tracebacks() == []
    assert f"health check {flag} fails: file exists" in registry.log.read_text()
    assert f"health check {flag} is well again" in registry.log.read_text()
