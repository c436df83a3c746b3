"""How a command fails: one line on standard error and an exit status."""

from __future__ import annotations

import typer


class CommandFailed(typer.TyperException):
    """The command was understood but could not be done; exit status 1. The message says why and what to do."""

    exit_code = 1


class WrongUsage(typer.TyperException):
    """The command cannot be understood; exit status 2."""

    exit_code = 2
