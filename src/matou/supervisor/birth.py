"""The first thing that a child of the supervisor does."""

from __future__ import annotations

import signal
import sys

from matou.system.processes import die_with_parent


def begin() -> list[str]:
    """Tie this process to the supervisor and let signals through, which the supervisor holds back for itself.

    Returns:
        The arguments after the supervisor's process id.
    """
    die_with_parent(int(sys.argv[1]))
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    return sys.argv[2:]
