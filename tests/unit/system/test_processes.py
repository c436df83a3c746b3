from __future__ import annotations

import pytest

from matou.system.processes import describe_exit


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0, "ended with status 0"),
        (3, "ended with status 3"),
        (None, "ended with status None"),
        (-9, "was ended by SIGKILL"),
        (-250, "was ended by signal 250"),
    ],
)
def test_how_a_process_ended(status: int | None, text: str) -> None:
    assert describe_exit(status) == text
