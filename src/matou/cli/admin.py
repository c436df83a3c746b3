"""``matou admin``: users, tokens and projects, on the machine of the portal."""

from __future__ import annotations

import typer

from matou.cli.language import text as _

app = typer.Typer(name="admin", add_completion=False, help=_("Make users, access tokens and projects on this machine."))


@app.callback()
def admin() -> None:
    """Make this a group even while it has one command."""
