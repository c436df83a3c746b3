"""``matou version``."""

from __future__ import annotations

import typer

from matou.cli.application import version_line
from matou.cli.language import text as _

app = typer.Typer(add_completion=False)


@app.command(help=_("Print the version."))
def version() -> None:
    """Print the version."""
    typer.echo(version_line())
