"""Typer's words in the user's language, where the library has them in English only: usage, help option, complaints."""

from __future__ import annotations

import functools
import re
from typing import Any

import typer
import typer.core

from matou.cli.language import mark
from matou.cli.language import text as _

# What Typer says -> how we say it. The patterns match whole messages; reasons and problems are looked up in turn.
COMPLAINTS = tuple(
    (re.compile(pattern, re.DOTALL), wording)
    for pattern, wording in (
        (
            r"No such option: (?P<option>.+) \(Possible options: (?P<options>.+)\)",
            mark("No such option: {option} (possible options: {options})"),
        ),
        (r"No such option: (?P<option>.+)", mark("No such option: {option}")),
        (r"(?P<problem>.+?)[.。]*\. Did you mean (?P<names>.+)\?", mark("{problem}. Did you mean {names}?")),
        (r"Got unexpected extra argument\(s\) \((?P<arguments>.+)\)", mark("Unexpected arguments: {arguments}")),
        (r"Option (?P<option>.+) does not take a value\.", mark("Option {option} does not take a value.")),
        (r"Option (?P<option>.+) requires an argument\.", mark("Option {option} requires a value.")),
        (r"Missing argument (?P<name>[^.]+)\.", mark("Missing argument {name}.")),
        (r"Missing option (?P<name>[^.]+)\.", mark("Missing option {name}.")),
        (
            r"Missing (?:argument|option) (?P<name>[^.]+)\. Choose from:\s+(?P<choices>.+)",
            mark("Missing {name}; choose from {choices}."),
        ),
        (r"Invalid value for (?P<name>[^:]+): (?P<reason>.+)", mark("Invalid value for {name}: {reason}")),
        (r"Value error, (?P<reason>.+)", "{reason}"),
        (
            r"(?P<value>.+) does not match the formats? '%Y-%m-%d'\.",
            mark("{value} is not a date such as 2027-01-31."),
        ),
        (r"(?P<value>.+) is not one of (?P<choices>.+)\.", mark("{value} is not one of {choices}.")),
        (r"Input should be (?P<choices>'.+')", mark("It must be one of {choices}.")),
        (r"Input should be a valid integer.*", mark("It must be a whole number.")),
        (r"Input should be a valid number.*", mark("It must be a number.")),
        (r"Input should be greater than or equal to (?P<bound>.+)", mark("It must be at least {bound}.")),
        (r"Input should be greater than (?P<bound>.+)", mark("It must be greater than {bound}.")),
        (r"Input should be less than or equal to (?P<bound>.+)", mark("It must be at most {bound}.")),
        (r"Input should be less than (?P<bound>.+)", mark("It must be less than {bound}.")),
    )
)
FLAG = ""  # stands for the value of an option that takes none; Typer would write <bool>
PAUSE = re.compile(r"(?<=[\uff0c\uff1b\uff1a\u3001\u3002])(?=\S)")  # after a full-width comma, semicolon, colon or stop
LOOKED_UP_IN_TURN = ("reason", "problem")


def reworded(message: str) -> str:
    """Return a complaint of Typer's in the user's language; any other message as it is."""
    for pattern, wording in COMPLAINTS:
        found = pattern.fullmatch(message)
        if found is not None:
            values = found.groupdict()
            for name in LOOKED_UP_IN_TURN:
                if name in values:
                    values[name] = reworded(values[name])
            if "choices" in values:
                values["choices"] = " ".join(values["choices"].split())
            return _(wording).format(**values)
    return message


class Context(typer.Context):
    """A command's context, whose help is in the user's language."""

    def __init__(self, command: Any, **attributes: Any) -> None:
        super().__init__(command, **attributes)
        help_option = command.get_help_option(self)
        if help_option is not None:
            help_option.help = _("Show this message and exit.")
            help_option.metavar = FLAG

    def make_formatter(self) -> Any:
        """Return a formatter of usage lines."""
        formatter: Any = super().make_formatter()
        formatter.write_usage = functools.partial(formatter.write_usage, prefix=_("Usage: "))
        return formatter


def breakable(help_text: str | None) -> str | None:
    """Return a help text with a space after each pause: tables cut what has none, as Chinese, off."""
    return help_text and PAUSE.sub(" ", help_text)


def localise(command: Any) -> Any:
    """Have a command and all below it speak the user's language; return it."""
    command.context_class = Context
    command.options_metavar = _("[OPTIONS]")
    command.short_help = command.short_help or breakable(command.help)
    for parameter in command.params:
        parameter.help = breakable(parameter.help)
        if getattr(parameter, "is_bool_flag", False):
            parameter.metavar = FLAG
    if isinstance(command, typer.core.TyperGroup):
        command.subcommand_metavar = _("COMMAND [ARGS]...")
        if isinstance(command.commands, dict):  # ours are loaded when they are needed, and pass through here then
            for child in command.commands.values():
                localise(child)
    return command
