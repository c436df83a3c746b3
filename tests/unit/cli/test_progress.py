"""The progress display draws on terminals and is silent elsewhere."""

from __future__ import annotations

import io
import os
import re
from typing import TYPE_CHECKING

import pytest

from matou.cli.language import use_language
from matou.cli.progress import phase_text, progress_display

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def terminal() -> Iterator[tuple[int, TextIO]]:
    """Yield the user's end of a pseudo terminal, and a stream to the other end."""
    ours, theirs = os.openpty()
    try:
        with os.fdopen(theirs, "w", encoding="utf-8") as stream:
            yield ours, stream
    finally:
        os.close(ours)


def drawn(descriptor: int) -> str:
    """Return what has been written to a terminal, without its control sequences."""
    os.set_blocking(descriptor, False)
    content = b""
    try:
        while piece := os.read(descriptor, 65536):
            content += piece
    except BlockingIOError:
        pass
    return ESCAPES.sub("", content.decode("utf-8"))


def test_a_pipe_sees_nothing() -> None:
    stream = io.StringIO()
    with progress_display(stream) as progress:
        progress("repositories", 1, 10)
        progress("repositories", 10, 10)
    assert stream.getvalue() == ""


def test_a_terminal_sees_phase_count_and_bar(terminal: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("LANGUAGE", "C")
    descriptor, stream = terminal
    with progress_display(stream) as progress:
        progress("repositories", 3, 10)
        progress("tags of team/app", 500, None)
    text = drawn(descriptor)
    for expected in ("repositories", "3/10", "tags of team/app", "500/?", "━"):
        assert expected in text


def test_a_phase_that_is_done_makes_room(terminal: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    descriptor, stream = terminal
    with progress_display(stream) as progress:
        progress("layers", 1, 2)
        progress("manifests", 7, 9)
        progress("layers", 2, 2)
    last = drawn(descriptor).replace("\r\n", "\n").rpartition("layers")[2]
    assert "7/9" in last
    assert "2/2" not in last


def test_what_comes_from_storage_is_not_taken_for_markup(
    terminal: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    descriptor, stream = terminal
    with progress_display(stream) as progress:
        progress("[red]tags[/nonsense]", 1, 2)
    assert "[red]tags[/nonsense]" in drawn(descriptor)


def test_an_exception_passes_through_and_the_display_ends(
    terminal: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    _descriptor, stream = terminal
    with pytest.raises(KeyError), progress_display(stream):
        raise KeyError


@pytest.mark.parametrize(
    ("language", "phase", "wanted"),
    [
        ("C", "repositories", "repositories"),
        ("C", "tags of team/app", "tags of team/app"),
        ("zh_CN", "repositories", "镜像仓库"),
        ("zh_CN", "tags of team/app", "team/app 的标签"),
        ("zh_CN", "something new", "something new"),
    ],
)
def test_phases_are_in_the_users_language(
    language: str, phase: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGUAGE", language)
    use_language()
    assert phase_text(phase) == wanted
