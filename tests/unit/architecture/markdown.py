"""Documents taken apart: links, headings, and the commands in their fenced blocks."""

from __future__ import annotations

import re
import shlex
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FENCE = re.compile(
    r"^(?P<fence>```+)[ \t]*(?P<language>\w*)[^\n]*\n(?P<content>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL
)
CODE = re.compile(r"`[^`\n]+`")
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6}[ \t]+(?P<text>.+?)[ \t]*$", re.MULTILINE)
SHELLS = ("sh", "bash", "shell", "console")


class Fenced(NamedTuple):
    """A fenced block."""

    language: str
    content: str


def prose(text: str) -> str:
    """Return a document without its fenced blocks."""
    return FENCE.sub("", text)


def fenced(text: str) -> list[Fenced]:
    """Return the fenced blocks of a document."""
    return [Fenced(found["language"], found["content"]) for found in FENCE.finditer(text)]


def links(text: str) -> list[str]:
    """Return the targets of a document's links."""
    return [found["target"] for found in LINK.finditer(CODE.sub("``", prose(text)))]


def anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as GitLab and GitHub make them."""
    found = set()
    for heading in HEADING.finditer(prose(text)):
        plain = heading["text"].replace("`", "").lower()
        kept = "".join(
            character for character in plain if character in " -_" or unicodedata.category(character)[0] in "LN"
        )
        found.add(kept.replace(" ", "-"))
    return found


def shell_commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each simple command in the shell blocks of a document."""
    for block in fenced(text):
        if block.language not in SHELLS:
            continue
        for line in re.sub(r"\\\n\s*", "", block.content).splitlines():
            words = shlex.split(line, comments=True)
            command: list[str] = []
            for word in words:
                if word in ("|", "&&", "||", ";"):
                    yield command
                    command = []
                else:
                    command.append(word)
            yield command


def matou_commands(path: Path) -> Iterator[list[str]]:
    """Yield the arguments of each call of ``matou`` in a document, those in substitutions too."""
    text = path.read_text("utf-8")
    for command in shell_commands(text):
        for number, word in enumerate(command):
            inner = re.search(r"\$\((?P<command>.+)\)", word)
            if inner is not None and inner["command"].startswith("matou "):
                yield shlex.split(inner["command"])[1:]
            elif is_matou(word) and all(is_prefix(before) for before in command[:number]):
                yield command[number + 1 :]
                break


def is_matou(word: str) -> bool:
    """Tell whether a word calls our program."""
    return word == "matou" or word.endswith("/bin/matou")


def is_prefix(word: str) -> bool:
    """Tell whether a word may stand before a command's name."""
    return word == "sudo" or re.match(r"[A-Z_]+=", word) is not None
