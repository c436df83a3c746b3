"""The reference page of the command line, made from the commands themselves: ``python -m matou.cli.reference``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from matou.cli.application import build

if TYPE_CHECKING:
    from collections.abc import Iterator

    import typer

INTRODUCTION = """\
# Commands

<!-- Made by: .venv/bin/python -m matou.cli.reference > docs/reference/commands.md -->

In a checkout the command is `.venv/bin/matou`. Every command and every group of commands takes `--help`.

| Exit status | Meaning |
|---|---|
| 0 | done |
| 1 | it failed; standard error says why and what to do, in lines that begin with `matou:` |
| 2 | the command line was not understood |
| 130 | interrupted with Ctrl-C |

Results go to standard output, everything else to standard error. Progress is shown on terminals only. With `--json` a
command prints one JSON document for programs.

Texts are in English, or in Simplified Chinese where `LANGUAGE`, `LC_ALL`, `LC_MESSAGES` or `LANG` asks for it, as
`LANG=zh_CN.UTF-8` does. `MATOU_DEBUG=1` adds where in the program an error came from. All variables are in
[the environment](environment.md).
"""


def page() -> str:
    """Return the page, in Markdown and in the language of this process."""
    root = build()
    context = root.context_class(root, info_name="matou")
    return "\n".join([INTRODUCTION, *_command(root, context, "matou", "##")]).rstrip("\n") + "\n"


def _command(command: Any, context: typer.Context, path: str, heading: str) -> Iterator[str]:
    yield f"{heading} {path}\n"
    yield f"{_plain(command.help)}\n"
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield f"```\n{usage}\n```\n"
    rows = [_row(parameter, context) for parameter in command.params if not getattr(parameter, "hidden", False)]
    if rows:
        yield "| Argument or option | Meaning |"
        yield "|---|---|"
        yield from rows
        yield ""
    for name in sorted(getattr(command, "commands", ())):
        child = command.commands[name]
        if not child.hidden:
            below = child.context_class(child, info_name=name, parent=context)
            yield from _command(child, below, f"{path} {name}", "###")


def _row(parameter: Any, context: typer.Context) -> str:
    if parameter.param_type_name == "argument":
        name = f"`{parameter.display_name_raw}`"
    else:
        value = "" if getattr(parameter, "is_flag", False) else f" {parameter.display_type_rich(ctx=context)}"
        name = ", ".join(f"`{option}{value}`" for option in [*parameter.opts, *parameter.secondary_opts])
    meaning = [_plain(parameter.help)]
    if parameter.required:
        meaning.append("Required.")
    if getattr(parameter, "multiple", False):
        meaning.append("May be repeated.")
    default = parameter.default
    if default not in (None, False, [], ()) and not callable(default) and parameter.show_default:
        meaning.append(f"Default: `{getattr(default, 'value', default)}`.")
    if parameter.envvar:
        meaning.append(f"Environment: `{parameter.envvar}`.")
    return f"| {name} | {' '.join(part for part in meaning if part)} |".replace("\n", " ")


def _plain(text: str | None) -> str:
    """Return a help text as Markdown: on one line, with its bars escaped."""
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
