"""The file of ``auth.htpasswd``: user names and bcrypt hashes.

Sources: Apache's ``htpasswd -B`` and Distribution's ``registry/auth/htpasswd``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
from typing import TYPE_CHECKING

import bcrypt

from matou.registry.auth.keysource import file_signature

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log = logging.getLogger("matou.registry")

BCRYPT_BYTES = 72  # bcrypt looks at no more; Apache and Go cut a longer password off silently, and so do we
MAX_FILE_BYTES = 16 << 20
MAX_COST = 18  # about half a minute of one core for each sign-in
DEFAULT_COST = 10  # of the hash that is made here; Go's default, as in Distribution
DEFAULT_USER = "docker"

_HASH = re.compile(rb"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")


class PasswordFile:
    """Users and hashes of a file, as of its last reading.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._signature = file_signature(path)
        self.users: Mapping[str, bytes] = {}
        self.decoy = _decoy(DEFAULT_COST)
        self._read()

    def refresh(self) -> bool:
        """Read the file again if it changed; a file that is gone or unreadable has no users.

        Returns:
            whether it was read.
        """
        signature = file_signature(self._path)
        if signature == self._signature:
            return False
        self._signature = signature
        self._read()
        return True

    def _read(self) -> None:
        try:
            with self._path.open("rb") as stream:
                content = stream.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            log.error("htpasswd: %s: %s: nobody can sign in", self._path, error.strerror)  # noqa: TRY400 -- the text says all
            self.users = {}
            return
        if len(content) > MAX_FILE_BYTES:
            log.error("htpasswd: %s: larger than %d bytes: nobody can sign in", self._path, MAX_FILE_BYTES)
            self.users = {}
            return
        users, complaints = parse_password_file(content)
        for complaint in complaints:
            log.warning("htpasswd: %s: %s", self._path, complaint)
        self.users = users
        # An unknown user must cost what the known ones cost, or the time tells who exists.
        self.decoy = _decoy(max((_cost(entry) for entry in users.values()), default=DEFAULT_COST))


def parse_password_file(content: bytes) -> tuple[dict[str, bytes], list[str]]:
    """Read lines ``user:hash``; blank lines and those that begin with ``#`` are skipped.

    Returns:
        bcrypt hashes by user (the last line of a user counts, as in Distribution), and what is wrong with the other
        lines; these texts hold no hash.
    """
    users: dict[str, bytes] = {}
    complaints: list[str] = []
    for number, line in enumerate(content.splitlines(), start=1):
        entry = line.strip()
        if not entry or entry.startswith(b"#"):
            continue
        raw_user, colon, hashed = entry.partition(b":")
        try:
            user = raw_user.decode("utf-8")
        except UnicodeDecodeError:
            complaints.append(f"line {number}: the user name is not UTF-8; the line is ignored")
            continue
        if not colon or not user:
            complaints.append(f"line {number}: expected user:hash; the line is ignored")
            continue
        match = _HASH.fullmatch(hashed)
        if match is None or not 4 <= int(match[1]) <= MAX_COST:  # noqa: PLR2004 -- bcrypt's lowest cost
            users.pop(user, None)  # the last line counts, even where it locks the user out
            complaints.append(
                f"line {number}: the entry of {user!r} is not a bcrypt hash of cost 4 to {MAX_COST} and is ignored; "
                "make one with htpasswd -B"
            )
            continue
        if user in users:
            complaints.append(f"line {number}: {user!r} occurs again; the last entry counts")
        users[user] = hashed
    return users, complaints


def check_password(password: bytes, hashed: bytes) -> bool:
    """Compare in the time that bcrypt takes: milliseconds to seconds, without holding the interpreter lock."""
    try:
        return bcrypt.checkpw(password[:BCRYPT_BYTES], hashed)
    except ValueError:  # looks like a hash, but its salt is not one
        return False


def create_when_missing(path: Path) -> None:
    """Make a missing file with the user ``docker`` and a random password, which is logged once, as Distribution does.

    Safe against other processes that do the same: one makes the file, only that one logs its password.

    Raises:
        OSError: the file cannot be made.
    """
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    password = secrets.token_urlsafe(32)
    hashed = bcrypt.hashpw(password.encode("ascii"), bcrypt.gensalt(DEFAULT_COST))
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(f"{DEFAULT_USER}:".encode() + hashed + b"\n")
            stream.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)  # unlike a rename, this fails where another process was faster
            log.warning(
                "htpasswd is missing, provisioning with default user: path=%s user=%s password=%s",
                path,
                DEFAULT_USER,
                password,
            )
    finally:
        temporary.unlink(missing_ok=True)


def _cost(hashed: bytes) -> int:
    return int(hashed[4:6])


def _decoy(cost: int) -> bytes:
    """Return a hash that no known password has, of this cost."""
    return bcrypt.gensalt(cost) + b"." * 31
