from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bench.__main__ import build_parser, choose_candidates, choose_cores, choose_settings, main, run_groups
from bench.backends import Filesystem
from bench.cases import GROUPS
from bench.environment import cpu_model, filesystem_of, first_line
from bench.payload import PayloadFactory
from bench.results import RATE, Case, Metric
from bench.run import Run
from bench.servers import Candidate, Server
from bench.settings import Settings, quick
from bench.tokens import TokenSource

if TYPE_CHECKING:
    from collections.abc import Iterator
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


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", ""]) as started:
        yield started


def make_run(tmp_path: Path, told: list[str]) -> Run:
    return Run(
        settings=quick(),
        candidates=[],
        backend=Filesystem(),
        storage=tmp_path,
        work=tmp_path,
        tokens=TokenSource(tmp_path),
        payloads=PayloadFactory(tmp_path / "payload", 1),
        server_core=0,
        tell=told.append,
    )


def test_a_group_that_fails_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def fail(_run: Run, _auth: str) -> None:
        raise OSError("disk full")

    def interrupt(_run: Run, _auth: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(GROUPS, "blobs", fail)
    monkeypatch.setitem(GROUPS, "images", lambda _run, auth: ran.append(auth))
    monkeypatch.setitem(GROUPS, "tags", interrupt)
    run = make_run(tmp_path, [])
    with run.payloads:
        run_groups(run, ["blobs", "images", "tags", "images"], ["off", "token"])
    assert ran == ["off", "token"]
    assert run.results.problems == [
        "blobs, auth off: OSError: disk full",
        "blobs, auth token: OSError: disk full",
        "interrupted in tags, auth off",
    ]


def test_a_server_that_fails_is_left_out_of_the_case_alone(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    good, bad = (Server(Candidate(name, "x {config}"), tmp_path, 1, process, tmp_path / "log") for name in ("a", "b"))
    asked: list[str] = []

    def measure(server: Server) -> dict[Metric, float]:
        asked.append(server.name)
        if server is bad:
            raise ValueError("wrong digest")
        return {RATE: 1.0}

    run = replace(make_run(tmp_path, []), settings=replace(quick(), rounds=3))
    with run.payloads:
        run.turns(Case("blobs", "push", "off"), [good, bad], measure)
    assert sorted(asked) == ["a", "a", "a", "b"]
    assert run.results.problems == ["blobs, push, auth off, b: ValueError: wrong digest"]
    assert [servers for _, _, servers in run.results.cases()] == [{"a": [1.0, 1.0, 1.0]}]
