"""Making an installation ready, in processes of their own: twice, interrupted, and where it cannot be."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import sys
from matou.config.installation import Installation
from matou.portal.setup import prepare
prepare(Installation.from_environ())
"""
PASSWORD_OF_ROOT = """
import sys
from matou.portal.setup import start_django
start_django()
from matou.portal.accounts.models import User
root = User.objects.get(username="root")
assert root.is_admin and User.objects.count() == 1
print(root.check_password(sys.argv[1]))
"""


def environment(home: Path, **variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MATOU_")}
    return kept | {"MATOU_HOME": str(home)} | variables


def prepare(home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment(home, **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def is_password(home: Path, password: str) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", PASSWORD_OF_ROOT, password],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip() == "True"


def modes(home: Path) -> dict[str, int]:
    return {path.relative_to(home).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*")}


def contents(home: Path) -> dict[str, bytes]:
    return {
        path.relative_to(home).as_posix(): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and not path.name.startswith("portal.db")
    }


def test_the_first_time_and_the_second(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    first = prepare(home)
    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    found = modes(home)
    assert found["keys/registry-token.key"] == found["portal/secret_key"] == found["initial_root_password"] == 0o600
    assert found["portal"] == found["keys"] == 0o700
    assert found["portal/portal.db"] == 0o600
    password = (home / "initial_root_password").read_text().strip()
    assert len(password) >= 20
    assert is_password(home, password)
    before = contents(home)
    assert prepare(home, MATOU_ROOT_PASSWORD="another-harbour-17").returncode == 0
    assert contents(home) == before
    assert is_password(home, password)


def test_a_password_from_the_environment_is_written_nowhere(tmp_path: Path) -> None:
    assert prepare(tmp_path, MATOU_ROOT_PASSWORD="wharf-and-harbour-92").stderr == ""
    assert is_password(tmp_path, "wharf-and-harbour-92")
    assert not (tmp_path / "initial_root_password").exists()
    assert all(b"wharf-and-harbour-92" not in content for content in contents(tmp_path).values())
    assert b"wharf-and-harbour-92" not in (tmp_path / "portal" / "portal.db").read_bytes()


def test_a_weak_password_locks_nobody_out(tmp_path: Path) -> None:
    done = prepare(tmp_path, MATOU_ROOT_PASSWORD="secret")
    assert done.returncode == 0
    assert "MATOU_ROOT_PASSWORD is weak" in done.stderr
    assert is_password(tmp_path, "secret")


def test_a_deleted_password_file_is_not_made_again(tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / "initial_root_password").unlink()
    assert prepare(tmp_path).returncode == 0
    assert not (tmp_path / "initial_root_password").exists()


def test_killed_at_any_moment_the_next_run_goes_on(tmp_path: Path) -> None:
    generator = random.Random(7)  # noqa: S311 -- moments, not secrets
    for number in range(6):
        home = tmp_path / str(number)
        for _ in range(2):
            process = subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment(home))
            time.sleep(generator.uniform(0.05, 0.8))
            process.send_signal(signal.SIGKILL)
            process.wait()
        done = prepare(home)
        assert done.returncode == 0, done.stderr
        assert is_password(home, (home / "initial_root_password").read_text().strip())
        assert not [path for path in home.rglob("*") if ".new" in path.name]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("home is a file", "MATOU_HOME must be writable"),
        ("database is none", "portal.db: "),
        ("database is newer", "made by a newer version of Matou (it has accounts.9999_future)"),
        ("key is none", "not a usable PEM private key"),
        ("key is missing", "missing, but its certificate"),
        ("password too long", "MATOU_ROOT_PASSWORD has 200 characters"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(tmp_path: Path, damage: str, told: str) -> None:
    home = tmp_path / "home"
    variables = {}
    if damage == "home is a file":
        home.touch()
    elif damage == "password too long":
        variables["MATOU_ROOT_PASSWORD"] = "x" * 200
    else:
        prepare(home)
        key = home / "keys" / "registry-token.key"
        database = home / "portal" / "portal.db"
        if damage == "database is none":
            database.write_bytes(b"not a database" * 1000)
        elif damage == "database is newer":
            with sqlite3.connect(database) as connection:
                connection.execute(
                    "INSERT INTO django_migrations VALUES (999, 'accounts', '9999_future', '2100-01-01')"
                )
            connection.close()
        elif damage == "key is none":
            key.write_text("nonsense")
        else:
            key.unlink()
    done = prepare(home, **variables)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("matou: ")
    assert done.stderr.count("\n") == 1
    assert told in done.stderr


def test_what_was_lost_before_an_administrator_was_made(tmp_path: Path) -> None:
    prepare(tmp_path)
    with sqlite3.connect(tmp_path / "portal" / "portal.db") as connection:
        connection.execute("UPDATE accounts_user SET is_admin = 0")
    connection.close()
    done = prepare(tmp_path)
    assert done.returncode == 1
    assert "there is no administrator, but a user 'root'" in done.stderr
