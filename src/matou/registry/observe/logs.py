"""The application's log of one process: every logger's lines, structured, to standard error (or output).

Concurrency: a line is one write, so lines of several processes on one pipe do not mix (up to PIPE_BUF bytes).
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

from granian.log import LogLevels

from matou.registry.observe.descriptors import write_all
from matou.registry.observe.rendering import line_formatter

if TYPE_CHECKING:
    from types import TracebackType

    from matou.config.sections.log import Log

LEVELS = {"error": logging.ERROR, "warn": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}
OUTPUTS = {"stderr": 2, "stdout": 1}  # GitLab's key log.output
PATIENCE = 1.0  # seconds that a line may wait for a reader, where the descriptor does not block by itself

log = logging.getLogger("matou.registry")


class DescriptorHandler(logging.Handler):
    """Writes lines to a file descriptor, unbuffered.

    It stays usable after ``close``: Granian's set-up of its own logging closes every handler there is.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; there is nobody to tell when that fails."""
        try:
            write_all(self._descriptor, (self.format(record) + "\n").encode(errors="backslashreplace"), PATIENCE)
        except OSError:
            return
        except Exception:  # noqa: BLE001 -- logging's own way for records that cannot be formatted
            self.handleError(record)


def configure_logging(section: Log) -> None:
    """Send what every logger of this process says to one place.

    Libraries are heard from level ``warn`` on. Exceptions that nothing catches become lines too.

    Args:
        section: the section ``log``.

    Raises:
        ValueError: level or formatter is unknown.
    """
    level = level_of(section)
    handler = DescriptorHandler(OUTPUTS[section.output])
    handler.setFormatter(line_formatter(section.formatter, section.fields, reportcaller=section.reportcaller))
    root = logging.getLogger()
    for other in root.handlers[:]:
        root.removeHandler(other)
    root.addHandler(handler)
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("matou").setLevel(level)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def level_of(section: Log) -> int:
    """Return the least level that is logged; ``info`` when none is given.

    Raises:
        ValueError: it is unknown.
    """
    level = LEVELS.get(section.level or "info")
    if level is None:
        raise ValueError(f"log.level is {section.level!r}; expected one of {', '.join(LEVELS)}")
    return level


def granian_logging() -> dict[str, Any]:
    """Return what Granian's ``log_dictconfig`` must be for its messages to come out as ours do."""
    return {
        "formatters": {},
        "handlers": {},
        "loggers": {"_granian": {"propagate": True}, "granian.access": {"propagate": True}},
    }


def granian_level(section: Log) -> LogLevels:
    """Return Granian's own level: what it says at ``info`` of each worker's start and stop is for debugging."""
    return LogLevels.info if level_of(section) <= logging.DEBUG else LogLevels.warning


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    log.critical("uncaught exception: %s", error, exc_info=(kind, error, trace))


def _log_uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None:
        _log_uncaught(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
