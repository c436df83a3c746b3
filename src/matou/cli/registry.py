"""``matou registry``: the registry alone, with a config.yml of Distribution."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matou.cli.failure import CommandFailed, WrongUsage
from matou.cli.language import mark
from matou.cli.language import text as _

if TYPE_CHECKING:
    from matou.config.distribution import Configuration

# What is counted by 'reindex'.
COUNTED = (mark("repositories"), mark("manifests"), mark("tags"), mark("blobs"), mark("skipped"))
CONFIGURATION_VARIABLE = "REGISTRY_CONFIGURATION_PATH"

app = typer.Typer(
    name="registry",
    add_completion=False,
    help=_("The registry alone, configured by a config.yml of Distribution; needs no portal."),
)

ConfigurationPath = Annotated[
    Path | None,
    typer.Argument(
        metavar="CONFIG",
        show_default=False,
        help=_("The registry's config.yml; REGISTRY_CONFIGURATION_PATH unless given."),
    ),
]


def configuration_path(given: Path | None) -> Path:
    """Return the path of the configuration.

    Raises:
        WrongUsage: there is none.
    """
    if given is not None:
        return given
    named = os.environ.get(CONFIGURATION_VARIABLE)
    if not named:
        raise WrongUsage(_("configuration path unspecified: give CONFIG, or set REGISTRY_CONFIGURATION_PATH"))
    return Path(named)


def _load(given: Path | None) -> Configuration:
    path = configuration_path(given)
    from matou.config.distribution import ConfigurationError, load_configuration

    try:
        return load_configuration(path, os.environ)
    except ConfigurationError as error:
        raise CommandFailed(str(error)) from error


@app.command("serve", help=_("Serve the registry until SIGTERM or Ctrl-C; MATOU_REGISTRY_WORKERS sets the processes."))
def serve(config: ConfigurationPath = None) -> int:
    """Serve."""
    from matou.config.installation import InstallationError, registry_workers

    configuration = _load(config)
    try:
        workers = registry_workers(os.environ)
    except InstallationError as error:
        raise CommandFailed(str(error)) from error
    from matou.registry.drivers.base import StorageError
    from matou.registry.index.migrate import SchemaError
    from matou.registry.server import StartError
    from matou.registry.server import serve as serve_registry

    try:
        return serve_registry(configuration, workers)
    except (StartError, SchemaError, StorageError) as error:
        raise CommandFailed(str(error)) from error


@app.command(
    "reindex", help=_("Rebuild the index from the storage tree while the registry is stopped; pushes are not touched.")
)
def reindex(
    config: ConfigurationPath = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help=_("Print the counts as JSON."))] = False,
) -> None:
    """Rebuild the index."""
    configuration = _load(config)
    from matou.cli.progress import progress_display
    from matou.registry.drivers.base import StorageError
    from matou.registry.files import TreeInUse
    from matou.registry.index.migrate import SchemaError
    from matou.registry.preparation import reindex as rebuild

    try:
        with progress_display(sys.stderr) as progress:
            summary = rebuild(configuration, progress)
    except (TreeInUse, SchemaError, StorageError) as error:
        raise CommandFailed(str(error)) from error
    counts: dict[str, Any] = dataclasses.asdict(summary)
    if as_json:
        typer.echo(json.dumps(counts))
        return
    for name, count in counts.items():
        typer.echo(f"{_(name)}: {count}")


@app.command("config-check", help=_("Read a configuration as 'serve' does and say what is wrong with it."))
def config_check(
    config: ConfigurationPath = None,
    *,
    strict: Annotated[bool, typer.Option("--strict", help=_("Fail on warnings too, such as unknown keys."))] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_("Print the findings as JSON."))] = False,
) -> int:
    """Check a configuration."""
    path = configuration_path(config)
    from matou.config.distribution import ConfigurationError, load_configuration

    errors: list[str] = []
    warnings: list[str] = []
    try:
        warnings = [str(warning) for warning in load_configuration(path, os.environ).warnings]
    except ConfigurationError as error:
        errors = str(error).splitlines()
        warnings = [str(warning) for warning in error.warnings]
    failed = bool(errors or (strict and warnings))
    if as_json:
        typer.echo(json.dumps({"path": str(path), "valid": not failed, "errors": errors, "warnings": warnings}))
    else:
        for line in errors:
            typer.echo(_("error: {problem}").format(problem=line), err=True)
        for line in warnings:
            typer.echo(_("warning: {problem}").format(problem=line), err=True)
        if not failed:
            typer.echo(_("{path}: valid").format(path=path))
    return 1 if failed else 0
