"""What must be so before anything is started: the state directory is ours alone and the addresses are free."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import time
from typing import TYPE_CHECKING

from matou.system.addresses import resolve
from matou.system.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PORT_PATIENCE = 3.0  # seconds: children of a killed instance may still be on their way out
SECRET_BYTES = 32


class SupervisorError(Exception):
    """Nothing can be served; the message says why and what to do."""


@contextlib.contextmanager
def hold(home: Path) -> Iterator[None]:
    """Make the state directory if need be and hold it, so that no other instance uses it.

    The kernel releases the lock when the process ends, however it ends.

    Raises:
        SupervisorError: another instance holds it, or it cannot be written.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SupervisorError(
            f"{error.filename or home}: {error.strerror}; MATOU_HOME must be a directory that can be written"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise SupervisorError(
                f"{home} is in use by another 'matou serve' (process {holder}); stop it, or set MATOU_HOME to another "
                "directory"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def check_free(address: str, variable: str) -> None:
    """Find out whether an address can be listened on.

    Args:
        address: host:port.
        variable: of the environment, which sets it.

    Raises:
        SupervisorError: it cannot.
    """
    try:
        resolved = resolve(address)
    except OSError as error:
        raise SupervisorError(f"{variable} is {address}, which cannot be resolved: {error.strerror}") from error
    deadline = time.monotonic() + PORT_PATIENCE
    while True:
        try:
            resolved.try_listening()
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            raise SupervisorError(
                f"cannot listen on {address}: {error.strerror}; stop what uses it, or set {variable} to another "
                "host:port"
            ) from error
        return


def ensure_secret(path: Path) -> str:
    """Return the secret in a file; make it, mode 0600, when it is missing.

    The file appears complete or not at all.

    Raises:
        SupervisorError: it can be neither read nor made.
    """
    try:
        with contextlib.suppress(FileNotFoundError):
            secret = path.read_text("ascii").strip()
            if secret:
                return secret
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret = secrets.token_hex(SECRET_BYTES)
        replace_file(path, f"{secret}\n".encode("ascii"))
    except (OSError, UnicodeDecodeError) as error:
        raise SupervisorError(f"{path}: cannot be read or made: {error}") from error
    return secret
