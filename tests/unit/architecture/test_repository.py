"""What no file of the project may hold."""

from __future__ import annotations

import re
import stat

import pytest

from tests.unit.architecture.checkout import ROOT, files, relative, texts

# Each pattern is written so that it does not match itself.
FORBIDDEN = {
    "a package index": r"pypi[.]org|pythonhosted[.]org|[-_]index[-_]url[ =:]+\S*http|https?://\S+/simple(?![\w-])",
    "a directory of somebody's machine": r"(?<![\w.~/}-])/(?:home|Users|root|work)/[\w.]",
    "a private key": r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY[-]{5}\s+[A-Za-z0-9+/=]{40}",
    "a merge that was not finished": r"^(?:<{7}|>{7}) ",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what], re.MULTILINE)
    found = [
        f"{relative(path)}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()}"
        for path, text in texts()
        for match in pattern.finditer(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a package index", "--index" + "-url https://mirror.example/x"),
        ("a package index", "see https://mirror.example/" + "simple"),
        ("a package index", "https://files.python" + "hosted.org/x"),
        ("a directory of somebody's machine", "cd /ho" + "me/li/matou"),
        ("a directory of somebody's machine", "(/Us" + "ers/li)"),
        ("a private key", "-----BEGIN RSA PRIVATE" + " KEY-----\n" + "M" * 64),
        ("a merge that was not finished", "<" * 7 + " HEAD"),
    ],
)
def test_the_patterns_find_what_they_are_for(what: str, line: str) -> None:
    assert re.search(FORBIDDEN[what], line, re.MULTILINE)


def test_scripts_can_be_run() -> None:
    wrong = []
    for path in files():
        with path.open("rb") as file:
            is_script = file.read(2) == b"#!"
        if is_script != bool(path.stat().st_mode & stat.S_IXUSR):
            wrong.append(relative(path))
    assert wrong == []


def test_every_requirement_is_locked_with_hashes() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        entries = re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n?", "", path.read_text("utf-8")).strip())
        for entry in entries:
            assert re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+", entry), f"{path.name}: {entry}"
            assert "--hash=sha256:" in entry, f"{path.name}: {entry}"
