"""``matou serve``."""

from __future__ import annotations

import typer

from matou.cli.failure import CommandFailed
from matou.cli.language import text as _

app = typer.Typer(add_completion=False)


@app.command(
    help=_(
        "Run everything on this machine: portal and registry.\n\nSettings come from the environment: MATOU_HOME, "
        "MATOU_PORTAL_ADDR, MATOU_PORTAL_URL, MATOU_REGISTRY_ADDR, MATOU_REGISTRY_URL, MATOU_REGISTRY_WORKERS, "
        "MATOU_ROOT_PASSWORD."
    )
)
def serve() -> int:
    """Run the supervisor until it is told to stop."""
    from matou.config.installation import Installation, InstallationError
    from matou.supervisor import SupervisorError, run

    try:
        return run(Installation.from_environ())
    except (InstallationError, SupervisorError) as error:
        raise CommandFailed(str(error)) from error
