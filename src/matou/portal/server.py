"""Serving the portal: one process, whose parent starts it again should it die.

Concurrency: the event loop of Granian, and the threads of ``Endpoint``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from matou.portal.asgi import LONGEST_HEADERS, LONGEST_TARGET, Endpoint
from matou.portal.logging import configure
from matou.system.addresses import resolve

if TYPE_CHECKING:
    from matou.config.installation import Installation

DRAIN = 30.0  # seconds that requests get to end
HEADER_PATIENCE = 15_000  # milliseconds that a client gets to send its headers
BACKLOG = 1024
CONNECTIONS = 1024  # at a time

log = logging.getLogger(__name__)


def serve(installation: Installation) -> int:
    """Serve until SIGTERM or SIGINT; requests in flight get to end.

    Args:
        installation: of this machine; prepared.

    Returns:
        Exit status 1 when the server could not start. One that ran ends the process, with status 0 after a signal and 1
        when it ended by itself.
    """
    configure()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "matou.portal.settings")
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415 -- reads the settings

    application = get_wsgi_application()
    _load_views()
    try:
        status = asyncio.run(_serve(installation, application))
    except OSError as error:
        sys.stderr.write(f"matou: the portal cannot listen on {installation.portal_addr}: {error.strerror}\n")
        return 1
    logging.shutdown()
    # Threads of Granian may still be on their way out; they abort the process if they meet an interpreter that ends.
    os._exit(status)


def _load_views() -> None:
    """Import all views now, so that the first request is answered as quickly as the next."""
    from django.urls import get_resolver  # noqa: PLC0415 -- as above

    get_resolver().url_patterns  # noqa: B018 -- a property that imports


async def _serve(installation: Installation, application: object) -> int:
    endpoint = Endpoint(application)  # type: ignore[arg-type] # Django's handler is a WSGI application
    address = resolve(installation.portal_addr)
    address.try_listening()  # Granian would tell of an address that is taken with a traceback of its own
    server = Server(
        endpoint,
        address=address.host,
        port=address.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_PATIENCE, max_buffer_size=2 * (LONGEST_HEADERS + LONGEST_TARGET)
        ),
        websockets=False,
        backlog=BACKLOG,
        backpressure=CONNECTIONS,
        log_enabled=False,
    )
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(told.wait())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    if not told.is_set():
        stopping.cancel()
        error = serving.exception()
        log.error("the server ended by itself%s", f": {str(error).partition(chr(10))[0]}" if error else "")
        return 1
    server.stop()  # type: ignore[no-untyped-call] # Granian's
    await endpoint.drain(DRAIN)
    await serving
    log.info("stopped")
    return 0
