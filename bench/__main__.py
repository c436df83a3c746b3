"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from bench.backends import BACKENDS, running_backend
from bench.cases import GROUPS, OF_BACKEND
from bench.environment import describe
from bench.payload import PayloadFactory
from bench.report import print_tables
from bench.results import SUBJECT
from bench.run import FAILURES, Run
from bench.run import describe as describe_error
from bench.servers import Candidate
from bench.settings import Settings, quick
from bench.targets import AUTHS, REFERENCE
from bench.tokens import TokenSource

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

SCHEMA = 1
UNBOUNDED = 200  # columns, where no terminal limits them
_MATOU = Path(sys.executable).with_name("matou")


def build_parser() -> argparse.ArgumentParser:
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Benchmark Matou beside other registries, in turn, in one run."
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        type=_candidate,
        metavar="NAME=COMMAND",
        help="another registry; {config} in the command stands for a config.yml of Distribution, {port} for the port "
        "and {root} for its directory; may be repeated",
    )
    parser.add_argument(
        "--matou",
        default=f"{shlex.quote(str(_MATOU))} registry serve {{config}}",
        metavar="COMMAND",
        help="how to start Matou (default: the one of this environment)",
    )
    parser.add_argument(
        "--docker-registry",
        default="docker-registry serve {config}",
        metavar="COMMAND",
        help="how to start the reference (default: %(default)s)",
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="NAME", help="leave a server out; may be repeated"
    )
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        default=BACKENDS[0],
        help="where content lies: in directories, or in a bucket of a SeaweedFS that runs beside the clients",
    )
    parser.add_argument("--only", action="append", choices=sorted(GROUPS), help="a group to run; may be repeated")
    parser.add_argument("--auth", choices=AUTHS, help="only with or only without token authentication")
    parser.add_argument("--quick", action="store_true", help="a small run of less than two minutes")
    parser.add_argument("--rounds", type=_positive, metavar="N", help="turns of each server in each case")
    parser.add_argument("--seconds", type=_positive, metavar="N", help="of load in each turn of the manifest cases")
    parser.add_argument(
        "--blob-size", type=_positive, action="append", metavar="MIB", help="instead of the sizes; repeat"
    )
    parser.add_argument("--tags", type=_positive, action="append", metavar="N", help="instead of the counts; repeat")
    parser.add_argument("--repositories", type=_positive, action="append", metavar="N", help="of catalogues; repeat")
    parser.add_argument(
        "--storage",
        type=Path,
        metavar="DIR",
        help="where the registries keep content (default: the temporary directory)",
    )
    parser.add_argument("--server-core", type=int, metavar="N", help="processor of the servers (default: the first)")
    parser.add_argument("--client-core", type=int, metavar="N", help="processor of the clients (default: the second)")
    parser.add_argument("--output", type=Path, default=Path("bench.json"), metavar="FILE", help="default: %(default)s")
    return parser


def _candidate(text: str) -> Candidate:
    try:
        return Candidate.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)


def choose_settings(options: argparse.Namespace) -> Settings:
    """Return the size of the run that the options ask for."""
    settings = asdict(quick() if options.quick else Settings())
    chosen = {
        "rounds": options.rounds,
        "seconds": options.seconds,
        "blob_sizes": tuple(options.blob_size or ()),
        "tag_counts": tuple(options.tags or ()),
        "catalog_counts": tuple(options.repositories or ()),
    }
    return Settings(**settings | {name: value for name, value in chosen.items() if value})


def choose_candidates(options: argparse.Namespace) -> list[Candidate]:
    """Return Matou, the reference and the peers, without those to leave out.

    Raises:
        ValueError: two have one name, a program is missing, or nobody is left.
    """
    everyone = [Candidate(SUBJECT, options.matou), Candidate(REFERENCE, options.docker_registry), *options.peer]
    names = [candidate.name for candidate in everyone]
    if len(set(names)) != len(names):
        raise ValueError(f"two registries have one name: {', '.join(names)}; give each --peer its own")
    if unknown := set(options.without) - set(names):
        raise ValueError(f"--without {', '.join(sorted(unknown))}: expected one of {', '.join(names)}")
    candidates = [candidate for candidate in everyone if candidate.name not in options.without]
    for candidate in candidates:
        program = shlex.split(candidate.command)[0]
        if not shutil.which(program):
            raise ValueError(
                f"{candidate.name}: {program} is not installed; install it (Debian's package docker-registry has the "
                f"reference), or leave it out with --without {candidate.name}"
            )
    if not candidates:
        raise ValueError("every registry is left out; expected at least one")
    return candidates


def choose_cores(options: argparse.Namespace) -> tuple[int, int]:
    """Return the processors of servers and clients.

    Raises:
        ValueError: one is not available to this process.
    """
    available = sorted(os.sched_getaffinity(0))
    server = available[0] if options.server_core is None else options.server_core
    client = available[1 % len(available)] if options.client_core is None else options.client_core
    for core in (server, client):
        if core not in available:
            raise ValueError(f"processor {core} is not available; expected one of {available}")
    return server, client


def run_groups(run: Run, groups: Sequence[str], auths: Sequence[str]) -> None:
    """Run the groups; what fails is noted, and an interruption ends the run with the figures that there are."""
    for group in groups:
        for auth in auths:
            try:
                GROUPS[group](run, auth)
            except FAILURES as error:
                run.problem(f"{group}, auth {auth}: {describe_error(error)}")
            except KeyboardInterrupt:
                run.problem(f"interrupted in {group}, auth {auth}")
                return


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; return 0, or 1 when something could not be measured."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    try:
        candidates = choose_candidates(options)
        server_core, client_core = choose_cores(options)
    except ValueError as error:
        parser.error(str(error))
    settings = choose_settings(options)
    groups = [group for group in OF_BACKEND[options.backend] if not options.only or group in options.only]
    if not groups:
        parser.error(
            f"none of these groups is for {options.backend}; expected {', '.join(OF_BACKEND[options.backend])}"
        )
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(stderr=True, highlight=False)
    if server_core == client_core:
        console.print("only one processor: servers and clients share it, so latencies and rates say little")
    os.sched_setaffinity(0, {client_core})
    started, began = dt.datetime.now(dt.UTC), time.monotonic()
    if options.storage:
        options.storage.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.storage) as directory:
        base = Path(directory)
        work, storage = base / "work", base / "storage"
        work.mkdir()
        storage.mkdir()
        environment = describe(candidates, storage, server_core, client_core)
        with (
            running_backend(options.backend, base) as backend,
            PayloadFactory(base / "payload", settings.largest_blob(groups)) as payloads,
        ):
            run = Run(
                settings=settings,
                candidates=candidates,
                backend=backend,
                storage=storage,
                work=work,
                tokens=TokenSource(work),
                payloads=payloads,
                server_core=server_core,
                tell=lambda text: console.print(f"[{time.monotonic() - began:5.0f} s] {text}", markup=False),
            )
            run_groups(run, groups, AUTHS if options.auth is None else (options.auth,))
        document = {
            "schema": SCHEMA,
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - began, 1),
            "quick": options.quick,
            "backend": options.backend,
            "groups": groups,
            "environment": environment,
            "settings": asdict(settings),
            **run.results.as_json(),
        }
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(document, indent=1) + "\n")
        print_tables(Console(width=None if sys.stdout.isatty() else UNBOUNDED), run.results)
        console.print(f"figures written to {options.output}", markup=False)
        console.print(f"removing what was stored below {base}", markup=False)  # 100,000 tags are 700,000 files
    return 1 if run.results.problems else 0


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
