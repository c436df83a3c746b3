"""How the steps of ``matou storage check-access`` are shown: a line for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from matou.cli.language import mark
from matou.cli.language import text as _

if TYPE_CHECKING:
    from matou.registry.access import Outcome

STEPS = (
    mark("write an object"),
    mark("HEAD of an object"),
    mark("HEAD of an object that does not exist"),
    mark("read an object"),
    mark("read a part of an object"),
    mark("list objects"),
    mark("upload in one part"),
    mark("upload in parts"),
    mark("look for what was left unfinished"),
    mark("GET by a signed URL"),
    mark("HEAD by a signed URL"),
    mark("clock of the storage"),
    mark("delete objects"),
)
NOTES = (
    mark("there is no blob to try it with"),
    mark("storage.redirect.disable is true: clients get no URLs"),
    mark("the storage has none: blobs go through the registry"),
)


def show(outcome: Outcome) -> None:
    """Print what became of a step."""
    step, note = outcome.step, outcome.note
    values = {"step": _(step), "note": _(note) if note else "", "problem": outcome.problem}
    if outcome.problem:
        wording = mark("{step}: {problem}")
    elif not outcome.tried:
        wording = mark("{step}: not tried: {note}")
    else:
        wording = mark("{step}: ok")
    typer.echo(_(wording).format(**values))
