"""The root command, its groups, and what becomes of errors."""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from matou.cli.language import text as _
from matou.cli.language import use_language
from matou.cli.wording import localise, reworded

if TYPE_CHECKING:
    from collections.abc import Sequence

# Name of a command or group -> module whose ``app`` holds it.
MODULES = {
    "serve": "matou.cli.serve",
    "registry": "matou.cli.registry",
    "admin": "matou.cli.admin",
    "storage": "matou.cli.storage",
    "version": "matou.cli.version",
}
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class LazyCommands(MutableMapping[str, Any]):
    """Commands whose modules are imported when they are asked for by name."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            module = importlib.import_module(MODULES[name])
            self._loaded[name] = localise(typer.main.get_command(module.app))
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


class LazyGroup(TyperGroup):
    """The root command."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = LazyCommands()


def version_line() -> str:
    """Return what ``matou version`` prints."""
    from importlib.metadata import version

    return f"matou {version('matou')}"


def build() -> Any:
    """Return the root command, with help in the language that is set now."""
    app = typer.Typer(
        cls=LazyGroup,
        name="matou",
        add_completion=False,
        help=_("Matou, a self-hosted container registry with projects, permissions and administration."),
    )

    @app.callback()
    def root(
        *,
        version: Annotated[
            bool,
            typer.Option("--version", help=_("Print the version and exit."), callback=_version_option, is_eager=True),
        ] = False,
    ) -> None:
        """Take the options that stand before the command."""

    return localise(typer.main.get_command(app))


def _version_option(value: bool) -> None:  # noqa: FBT001 -- Typer passes it by position
    if value:
        typer.echo(version_line())
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Run a command line.

    Args:
        arguments: without the program's name.

    Returns:
        Exit status: 0 done, 1 failed, 2 not understood, 130 interrupted.
    """
    use_language()
    try:
        status = build().main(args=list(arguments), prog_name="matou", standalone_mode=False)
    except typer.TyperException as error:
        _complain(reworded(error.format_message()) + _hint(error))
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        _complain(_("interrupted"))
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 -- the last resort: a person must never see a traceback unasked
        return _unexpected(error)
    return status if isinstance(status, int) else 0


def _hint(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)  # Typer's usage errors have it
    if context is None:
        return ""
    return " " + _("(see '{command} --help')").format(command=context.command_path)


def _complain(message: str) -> None:
    """Write one line for each line of the message to standard error, each with our name."""
    for line in message.splitlines() or [""]:
        sys.stderr.write(f"matou: {line}\n")
    if os.environ.get("MATOU_DEBUG") == "1" and sys.exc_info()[0] is not None:
        traceback.print_exc()


def _unexpected(error: Exception) -> int:
    told = " ".join(str(error).split())
    name = type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        _complain(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    else:
        _complain(
            _("unexpected error: {error}; set MATOU_DEBUG=1 to see where").format(
                error=f"{name}: {told}" if told else name
            )
        )
    return 1


def main() -> None:
    """Run the command line of this process and exit."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that lacks a character shows a question mark; standard error does something alike by itself.
        sys.stdout.reconfigure(errors="replace")
    sys.exit(run(sys.argv[1:]))
