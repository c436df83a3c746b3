"""nginx on this machine, with all its files in a directory of the tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

from tests.servers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")  # what it would keep elsewhere
STOP_SECONDS = 30


@contextlib.contextmanager
def running_nginx(folder: Path, site: str, *ports: int) -> Iterator[None]:
    """Run nginx.

    Args:
        folder: of its files.
        site: what its ``http`` block has.
        ports: that it listens on; waited for.
    """
    main, errors = folder / "nginx.conf", folder / "nginx-error.log"
    user = "user root;" if os.geteuid() == 0 else ""
    places = " ".join(f"{name}_temp_path {folder / name};" for name in TEMPORARY)
    main.write_text(
        f"{user} daemon off; pid {folder}/nginx.pid; error_log {errors};\n"
        f"events {{}}\nhttp {{ access_log off; {places}\n{site}}}\n"
    )
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None, "nginx is missing: run .ci/packages tests"
    process = subprocess.Popen([program, "-p", folder, "-c", main, "-e", errors])
    try:
        for port in ports:
            wait_until(lambda port=port: _is_listening(port), process=process, log=errors)  # type: ignore[misc]  # bound
        yield
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _is_listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
