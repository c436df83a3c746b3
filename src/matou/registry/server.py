"""``matou registry serve``: the parent process that prepares the tree and keeps Granian's workers running.

Concurrency: workers are processes that share the listening socket, the tree and the index, and nothing else. They are
spawned, not forked, because the parent has threads.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import multiprocessing
import os
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings

from matou.registry.descriptors.base import CacheSetupError
from matou.registry.descriptors.factory import check_cache
from matou.registry.drivers.base import StorageError
from matou.registry.files import FileLock, registry_files
from matou.registry.migration.moved import CannotFollow, StorageMarks
from matou.registry.migration.residence import residence
from matou.registry.observe.board import Board
from matou.registry.observe.debug_server import DebugAddressError, DebugServer, Endpoints, debug_address
from matou.registry.observe.logs import configure_logging, granian_level, granian_logging
from matou.registry.occupancy import Occupancy
from matou.registry.preparation import prepare
from matou.registry.processes import Processes
from matou.registry.start_check import check_storage
from matou.registry.tls import TlsError, tls_files
from matou.registry.worker import Worker
from matou.system.addresses import TcpAddress, resolve
from matou.system.files import make_directory

if TYPE_CHECKING:
    from matou.config.distribution import Configuration
    from matou.config.sections.http import Http
    from matou.registry.files import RegistryFiles
    from matou.registry.migration.moved import Residence
    from matou.registry.tls import TlsFiles

log = logging.getLogger("matou.registry")

BACKLOG = 4096  # connections waiting to be accepted
CONNECTIONS = 4096  # connections a worker
ANNOUNCEMENT_NAP = 0.05  # seconds between looks whether the first worker listens
DRAIN = 30  # seconds that requests get to end, unless http.draintimeout says otherwise
HEADER_TIMEOUT = 30_000  # milliseconds that a client gets to send its headers


class StartError(Exception):
    """The registry cannot start; the message says why and what to do."""


def serve(configuration: Configuration, workers: int) -> int:
    """Serve until SIGTERM or SIGINT; requests in flight get to end.

    Args:
        configuration: of the registry.
        workers: processes; one with the ``inmemory`` driver, whose storage they could not share.

    Returns:
        Exit status: 0 after a signal, 1 when the workers end as soon as they are started.

    Raises:
        StartError: the address or the storage cannot be used.
        SchemaError: the index is of a newer version.
        StorageError: storage or index cannot be read.
    """
    configure_logging(configuration.log)
    for warning in configuration.warnings:
        log.warning("%s", warning)
    if configuration.storage.driver == "inmemory":
        workers = 1
    configuration = _with_secret(configuration)
    address = Address.of(configuration)
    address.check_free()
    with contextlib.ExitStack() as stack:
        board = _debug(configuration, workers, stack)
        try:
            files = stack.enter_context(registry_files(configuration))
            here = _residence(configuration, files)
            held = stack.enter_context(contextlib.ExitStack())
            lock = FileLock(here.files.lock)
        except OSError as error:
            raise StartError(
                f"the storage directory cannot be used: {error}; check storage.filesystem.rootdirectory and its owner"
            ) from error
        held.callback(lock.close)
        try:
            tls = tls_files(configuration.http.tls, here.files.directory)
            check_cache(here.configuration)
        except (TlsError, CacheSetupError) as error:
            raise StartError(str(error)) from error
        held.enter_context(prepare(here.configuration, here.files, lock))
        occupancy = Occupancy(here, held.pop_all())
        stack.callback(occupancy.close)
        occupancy.start()
        # Workers are spawned: a fork would copy the parent's threads' locks in whatever state they are.
        multiprocessing.set_start_method("spawn", force=True)
        server = _server(configuration, address, tls, workers)
        server.on_startup(functools.partial(_announce, address, workers))
        return _run(configuration, files, server, board)


def _residence(configuration: Configuration, files: RegistryFiles) -> Residence:
    """Return the storage that is in charge, tried: the configured one, or where that one was moved to.

    Raises:
        StartError: that cannot be found out, or the storage cannot be used.
    """
    try:
        here = residence(configuration, files)
        if not here.moves:
            check_storage(configuration, files)
            here = residence(configuration, files, marks=StorageMarks())
        if here.moves:
            make_directory(here.files.directory)
            check_storage(here.configuration, here.files)
    except CannotFollow as error:
        raise StartError(str(error)) from error
    except StorageError as error:
        raise StartError(f"the storage cannot be used: {error}") from error
    for moved in here.moves:
        log.warning("%s: serving from there; start the registry with %s from now on", moved, moved.configuration)
    return here


def _announce(address: Address, workers: int) -> None:
    """Log that the registry listens as soon as it does: Granian's hook comes before the workers, who open the port."""

    def wait() -> None:
        while not address.is_listening():
            time.sleep(ANNOUNCEMENT_NAP)
        log.info("listening on %s, workers: %d", address, workers)

    threading.Thread(target=wait, name="announcement", daemon=True).start()


def _debug(configuration: Configuration, workers: int, stack: contextlib.ExitStack) -> Board | None:
    """Start the debug server, when it is wanted; returns where the workers tell it of themselves."""
    debug = configuration.http.debug
    if not debug.addr:
        return None
    # A worker that is stopping and its successor run at the same time.
    board = Board(2 * workers + 1)
    metrics_path = debug.prometheus.path if debug.prometheus.enabled else ""
    endpoints = Endpoints(board, metrics_path, configuration.storage.driver)
    try:
        server = DebugServer(debug_address(debug.addr, os.environ), endpoints)
    except DebugAddressError as error:
        raise StartError(str(error)) from error
    server.start()
    stack.callback(server.stop)
    return board


def _run(configuration: Configuration, files: RegistryFiles, server: Processes, board: Board | None) -> int:
    """Keep the workers running until a signal."""
    # Granian raises SystemExit when a worker ended by itself: after Ctrl-C, say, which the terminal sends to all.
    loader = functools.partial(Worker, configuration, files, os.getpid(), board)
    with contextlib.suppress(SystemExit):
        server.serve(target_loader=loader, wrap_loader=False)  # type: ignore[arg-type] # RSGI takes objects, too
    if server.is_hopeless:
        return 1
    log.info("stopped")
    return 0


def _server(configuration: Configuration, address: Address, tls: TlsFiles, workers: int) -> Processes:
    http = configuration.http
    return Processes(
        "matou.registry.worker:Worker",
        address=address.host,
        port=address.port,
        uds=address.path,
        interface=Interfaces.RSGI,
        workers=workers,
        http=_http_mode(http),
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_TIMEOUT),
        websockets=False,
        backlog=BACKLOG,
        backpressure=CONNECTIONS,
        log_level=granian_level(configuration.log),
        log_dictconfig=granian_logging(),
        ssl_cert=tls.certificate,
        ssl_key=tls.key,
        ssl_protocol_min=_TLS_VERSIONS[http.tls.minimumtls],
        ssl_ca=tls.authorities,
        ssl_client_verify=tls.authorities is not None,
        workers_kill_timeout=max(1, round(http.draintimeout or DRAIN)),
        process_name="matou registry",
    )


def _http_mode(http: Http) -> HTTPModes:
    """Offer HTTP/2 over TLS unless it is disabled, and without TLS where ``http.h2c.enabled`` says so."""
    over_tls = bool(http.tls.certificate) and not http.http2.disabled
    in_clear = not http.tls.certificate and http.h2c.enabled
    return HTTPModes.auto if over_tls or in_clear else HTTPModes.http1


_TLS_VERSIONS = {"tls1.2": SSLProtocols.tls12, "tls1.3": SSLProtocols.tls13}


def _with_secret(configuration: Configuration) -> Configuration:
    if configuration.http.secret:
        return configuration
    log.warning(
        "no http.secret in the configuration: using a random one; uploads in progress end when the registry is "
        "restarted, and replicas behind one address need the same secret"
    )
    http = dataclasses.replace(configuration.http, secret=secrets.token_hex(32))
    return dataclasses.replace(configuration, http=http)


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """Where the registry listens.

    Attributes:
        host: IP address.
        port: TCP port.
        path: of a Unix socket, instead of both.
    """

    host: str
    port: int
    path: Path | None

    @classmethod
    def of(cls, configuration: Configuration) -> Address:
        """Read ``http.net`` and ``http.addr``.

        Raises:
            StartError: it is no address.
        """
        http = configuration.http
        if http.net == "unix":
            return cls("", 0, Path(http.addr))
        try:
            tcp = resolve(http.addr)
        except ValueError as error:
            raise StartError(f"http.addr is {http.addr!r}; expected host:port or :port, such as :5000") from error
        except OSError as error:
            raise StartError(f"http.addr is {http.addr!r}, which cannot be resolved: {error}") from error
        return cls(*tcp, None)

    def __str__(self) -> str:
        return str(TcpAddress(self.host, self.port) if self.path is None else self.path)

    def check_free(self) -> None:
        """Find out before anything is started whether the address can be used.

        Raises:
            StartError: it cannot.
        """
        if self.path is not None:
            self._remove_stale_socket(self.path)
            return
        try:
            TcpAddress(self.host, self.port).try_listening()
        except OSError as error:
            raise StartError(
                f"cannot listen on {self}: {error.strerror}; stop what uses the port, or change http.addr"
            ) from error

    def is_listening(self) -> bool:
        """Tell whether connections are accepted there."""
        family = socket.AF_UNIX if self.path is not None else socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            return probe.connect_ex(str(self.path) if self.path is not None else (self.host, self.port)) == 0

    @staticmethod
    def _remove_stale_socket(path: Path) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except FileNotFoundError:
                return
            except ConnectionRefusedError:
                path.unlink()
                return
            except OSError as error:
                raise StartError(f"cannot listen on the socket {path}: {error.strerror}") from error
        raise StartError(f"cannot listen on the socket {path}: another process listens there")
