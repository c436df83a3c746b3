"""The tie between a process and the one that started it, and how a process ended."""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel signal this process when its parent dies, even of SIGKILL.

    Nothing is then left holding a port. What a worker has acknowledged is safe whenever it dies.

    Args:
        parent: the parent's process id, to notice that it died before the call.
        number: the signal.

    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def describe_exit(status: int | None) -> str:
    """Return how a process ended, to follow its name: ``ended with status 1``, ``was ended by SIGKILL``.

    Args:
        status: as ``subprocess`` and ``multiprocessing`` have it: a signal's number is negative; None is not known.
    """
    if status is None or status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
