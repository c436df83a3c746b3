from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench.procfs import (
    TICKS_PER_SECOND,
    ProcessStat,
    cpu_seconds,
    parse_peak_mib,
    parse_stat,
    peak_memory,
    process_tree,
    reset_peak_memory,
    select_tree,
)


def stat_line(name: str, parent: int, user: int, system: int, child_user: int = 0, child_system: int = 0) -> str:
    before = f"{parent} 7 7 0 -1 4194560 100 0 0 0"
    return f"42 ({name}) S {before} {user} {system} {child_user} {child_system} 20 0 9 0 12345 1000 200 184467\n"


@pytest.mark.parametrize("name", ["registry", "a b", "(odd) name)", ""])
def test_stat_is_read_whatever_the_name(name: str) -> None:
    assert parse_stat(stat_line(name, 7, 3 * TICKS_PER_SECOND, TICKS_PER_SECOND)) == ProcessStat(42, name, 7, 4.0)


def test_time_of_children_waited_for_counts() -> None:
    line = stat_line("parent", 1, 0, 0, TICKS_PER_SECOND, 2 * TICKS_PER_SECOND)
    assert parse_stat(line).seconds == 3.0


def test_peak_memory_is_in_mebibytes() -> None:
    assert parse_peak_mib("Name:\tx\nVmPeak:\t  999999 kB\nVmHWM:\t  204800 kB\nVmRSS:\t 1 kB\n") == 200.0


def test_a_zombie_has_no_memory() -> None:
    assert parse_peak_mib("Name:\tx\nState:\tZ (zombie)\n") == 0.0


def test_another_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="expected kB"):
        parse_peak_mib("VmHWM:\t 5 MB\n")


def test_tree_holds_descendants_alone_parents_first() -> None:
    processes = [ProcessStat(pid, "p", parent, 0.0) for pid, parent in ((5, 3), (1, 0), (3, 2), (2, 1), (4, 2), (9, 1))]
    assert [process.pid for process in select_tree(processes, 2)] == [2, 3, 4, 5]


def test_tree_of_a_process_that_is_gone_is_empty() -> None:
    assert select_tree([ProcessStat(1, "init", 0, 0.0)], 77) == []


def test_a_real_tree_with_its_time_and_memory() -> None:
    grandchild = (
        "import sys; x = bytearray(64 << 20); [0 for _ in range(10**6)]; print('up', flush=True); sys.stdin.read()"
    )
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    with subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline() == b"up\n"
        tree = process_tree(process.pid)
        assert tree[0].parent == os.getpid()
        assert tree[1].parent == process.pid
        assert cpu_seconds(process.pid) > 0
        assert max(peak.peak_mib for peak in peak_memory(process.pid)) > 64
        reset_peak_memory(process.pid)
        assert len(peak_memory(process.pid)) == 2
        process.stdin.close()
    assert process.returncode == 0
    assert process_tree(process.pid) == []
