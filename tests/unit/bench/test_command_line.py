from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from bench.__main__ import build_parser, choose_candidates, choose_cores, choose_settings, main
from bench.environment import cpu_model, filesystem_of, first_line
from bench.settings import Settings, quick

if TYPE_CHECKING:
    from pathlib import Path

SELF = f"{sys.executable} {{config}}"
BASE = ["--matou", SELF, "--docker-registry", SELF]


def test_everyone_takes_part_matou_first() -> None:
    options = build_parser().parse_args([*BASE, "--peer", f"v3={SELF}"])
    assert [candidate.name for candidate in choose_candidates(options)] == ["matou", "docker-registry", "v3"]


def test_leaving_out() -> None:
    options = build_parser().parse_args([*BASE, "--without", "docker-registry"])
    assert [candidate.name for candidate in choose_candidates(options)] == ["matou"]


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--peer", f"matou={SELF}"], "two registries have one name"),
        (["--without", "zot"], "expected one of matou, docker-registry"),
        (["--without", "matou", "--without", "docker-registry"], "every registry is left out"),
        (["--peer", "v3=no-such-registry {config}"], "--without v3"),
    ],
)
def test_unusable_candidates(extra: list[str], said: str) -> None:
    options = build_parser().parse_args([*BASE, *extra])
    with pytest.raises(ValueError, match=said):
        choose_candidates(options)


def test_settings() -> None:
    parse = build_parser().parse_args
    assert choose_settings(parse([])) == Settings()
    assert choose_settings(parse(["--quick"])) == quick()
    chosen = choose_settings(parse(["--quick", "--blob-size", "7", "--blob-size", "9", "--rounds", "2"]))
    assert (chosen.blob_sizes, chosen.rounds, chosen.seconds) == ((7, 9), 2, quick().seconds)


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--only", "nothing"], ["--peer", "x"], ["--matou", "{"]])
def test_usage_errors_end_with_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_cores() -> None:
    options = build_parser().parse_args(["--server-core", "99999"])
    with pytest.raises(ValueError, match="99999 is not available"):
        choose_cores(options)
    assert set(choose_cores(build_parser().parse_args([]))) <= os.sched_getaffinity(0)


@pytest.mark.parametrize(("size", "pushes", "pulls"), [(1, 100, 400), (10, 40, 200), (100, 4, 20), (1000, 1, 2)])
def test_large_blobs_are_moved_less_often(size: int, pushes: int, pulls: int) -> None:
    assert (Settings().pushes(size), Settings().pulls(size)) == (pushes, pulls)


def test_cpu_model() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: A CPU: fast\nmodel name\t: B\n") == "A CPU: fast"


def test_file_system_is_that_of_the_nearest_mount(tmp_path: Path) -> None:
    inner = tmp_path / "a b"
    inner.mkdir()
    escaped = str(inner).replace(" ", "\\040")
    mounts = f"/dev/a / ext4 rw 0 0\ntmpfs {escaped} tmpfs rw 0 0\nx /elsewhere xfs rw 0 0\n"
    assert filesystem_of(inner / "c", mounts) == "tmpfs"
    assert filesystem_of(tmp_path, mounts) == "ext4"


def test_first_line() -> None:
    assert first_line([sys.executable, "-c", "print('one\\ntwo')"]) == "one"
    assert first_line(["/no/such/program"]) == "unknown"
