"""``matou storage``: what is done with a registry's storage as a whole."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from matou.cli.failure import CommandFailed
from matou.cli.language import mark
from matou.cli.language import text as _
from matou.cli.registry import ConfigurationPath, configuration_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matou.config.distribution import Configuration
    from matou.registry.migration.report import Report

# What 'migrate' says of the index.
INDEX = {
    "copied": mark("index: copied; the registry starts on the destination at once"),
    "left to the first start": mark("index: the registry builds it from the destination at its first start"),
}
ACTIONS = {"copy": mark("would copy {path}"), "delete": mark("would delete {path}")}

Source = Annotated[Path, typer.Option("--from", metavar="A.yml", help=_("Configuration of the present registry."))]
Destination = Annotated[
    Path, typer.Option("--to", metavar="B.yml", help=_("Configuration of the registry with the new storage."))
]

app = typer.Typer(
    name="storage",
    add_completion=False,
    help=_("The storage of a registry as a whole: try it, or move it to another one."),
)


@app.callback()
def group() -> None:
    """Make a group of it, however many commands there are."""


def load(path: Path, *, is_destination: bool = False) -> Configuration:
    """Read a registry's configuration.

    Args:
        path: of it.
        is_destination: whether variables that change ``storage`` are meant for another one.

    Raises:
        CommandFailed: it cannot be used.
    """
    from matou.config.distribution import ConfigurationError, load_configuration
    from matou.registry.migration.moved import load_destination

    try:
        return load_destination(path, os.environ) if is_destination else load_configuration(path, os.environ)
    except ConfigurationError as error:
        raise CommandFailed(str(error)) from error


@app.command(
    "migrate",
    help=_(
        "Copy all images to another storage of any kind. What is there already is skipped, so a run that was "
        "interrupted is gone on with by running the command again."
    ),
)
def migrate(
    source: Source,
    destination: Destination,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help=_("Change nothing; print what would be copied and deleted."))
    ] = False,
    delete: Annotated[
        bool, typer.Option("--delete", help=_("Delete images at the destination that the source does not have."))
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help=_("Read every blob back and copy those again whose content is not what its digest says.")
        ),
    ] = False,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help=_("While the registry serves: follow its pushes, and have it change over in the end.")
        ),
    ] = False,
    jobs: Annotated[
        int, typer.Option("--jobs", metavar="N", min=1, max=256, help=_("Objects that are copied at a time."))
    ] = 16,
    as_json: Annotated[bool, typer.Option("--json", help=_("Print the report as JSON."))] = False,
) -> int:
    """Migrate."""
    present, coming = load(source), load(destination, is_destination=True)
    from matou.cli.transfer_display import transfer_display
    from matou.registry.drivers.base import StorageError
    from matou.registry.migration.bulk import Options
    from matou.registry.migration.guards import MigrationRefused
    from matou.registry.migration.live import Paths, migrate_live
    from matou.registry.migration.offline import migrate as migrate_offline

    options = Options(dry_run=dry_run, delete=delete, verify=verify, jobs=jobs)
    try:
        with transfer_display(sys.stderr, None if as_json else _print_plan) as display:
            if live and not dry_run:
                report = migrate_live(present, coming, Paths(source, destination), options, display)
            else:
                report = migrate_offline(present, coming, options, display)
    except (MigrationRefused, StorageError) as error:
        raise CommandFailed(str(error)) from error
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(report) | {"complete": report.is_complete, "agree": report.agrees}))
    else:
        _print(report, destination if live else None)
    problem = _problem(report)
    if problem:
        raise CommandFailed(problem)
    return 0


@app.command(
    "check-access",
    help=_(
        "Try everything that the registry will do in its storage, with probes that are deleted again: what the key may "
        "not do, a wrong region or clock, what a proxy spoils. In read-only mode nothing is written."
    ),
)
def check_access(
    config: ConfigurationPath = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help=_("Print the steps as JSON."))] = False,
) -> int:
    """Try the storage."""
    configuration = load(configuration_path(config))
    import asyncio

    from matou.cli.access import show
    from matou.registry.access import try_storage
    from matou.registry.drivers.base import StorageError

    try:
        outcomes = asyncio.run(try_storage(configuration, None if as_json else show))
    except StorageError as error:
        raise CommandFailed(str(error)) from error
    failed = any(outcome.problem for outcome in outcomes)
    if as_json:
        steps = [dataclasses.asdict(outcome) for outcome in outcomes]
        typer.echo(json.dumps({"driver": configuration.storage.driver, "ok": not failed, "steps": steps}))
    return 1 if failed else 0


def _print_plan(action: str, path: str) -> None:
    wording = ACTIONS[action]
    typer.echo(_(wording).format(path=path))


def _problem(report: Report) -> str:
    if report.failed and report.switched:
        return _(
            "{count} objects are damaged or missing in the old storage and were not copied; the lines above name them."
        ).format(count=report.failed)
    if report.failed:
        return _("{count} objects were not copied; the lines above say why. Run the command again.").format(
            count=report.failed
        )
    if not (report.dry_run or report.is_complete):
        return _("the destination lacks objects of the source. Run the command again.")
    return ""


def _print(report: Report, switched_to: Path | None) -> None:
    from matou.cli.transfer_display import duration_text

    for line in (*_counts(report), *_switch(report, switched_to)):
        if line:
            typer.echo(line)
    typer.echo(_("time: {duration}").format(duration=duration_text(report.seconds)))
    wording = INDEX.get(report.index)
    if wording is not None and not report.switched:
        typer.echo(_(wording))


def _counts(report: Report) -> Iterator[str]:
    from matou.cli.transfer_display import bytes_text

    if report.switched and not report.objects:
        return  # done by a run before this one
    copied = _("would be copied: {count} ({size})") if report.dry_run else _("copied: {count} ({size})")
    deleted = _("would be deleted: {count}") if report.dry_run else _("deleted: {count}")
    yield _("objects: {count} ({size})").format(count=report.objects, size=bytes_text(report.bytes))
    yield copied.format(count=report.copied, size=bytes_text(report.copied_bytes))
    yield _("already there: {count}").format(count=report.skipped)
    yield deleted.format(count=report.deleted)
    yield _("failed: {count}").format(count=report.failed)
    if report.switched:
        yield _("blobs and manifests in the index: {count}, at the destination: {there}").format(
            count=report.contents, there=report.contents_there
        )
        return
    yield _("at the source: {source}, at the destination: {destination} (uploads in progress are left out)").format(
        source=report.source_count, destination=report.destination_count
    )
    if report.foreign:
        yield _("at the destination no registry has made {count} objects below docker/; they are left").format(
            count=report.foreign
        )
    yield _verdict(report)


def _switch(report: Report, path: Path | None) -> Iterator[str]:
    if path is None or not report.switched:
        return
    if report.objects:
        yield _("changes that were followed: {count}").format(count=report.changes)
        if report.slowed:
            yield _("pushes came faster than they could be copied, and were slowed down for {seconds} s").format(
                seconds=f"{report.slowed:.0f}"
            )
        yield _("pushes had to wait for {seconds} s").format(seconds=f"{report.paused:.2f}")
    yield _("the registry works with the new storage; start it with {path} from now on").format(path=path)


def _verdict(report: Report) -> str:
    if report.dry_run:
        return ""
    if report.agrees:
        return _("the counts agree")
    if report.is_complete:
        return _("the destination has {count} objects that the source lacks; --delete removes them").format(
            count=report.surplus
        )
    return _("the counts differ")
