"""One tree, served by Matou and by Debian's docker-registry in turn: STO-1."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
from typing import TYPE_CHECKING, Any

from tests.integration.population import Population, populate
from tests.integration.turns import compare, docker, matou, picture
from tests.servers.program import MATOU

if TYPE_CHECKING:
    from pathlib import Path


def in_tree(folder: Path) -> dict[str, Any]:
    return {"filesystem": {"rootdirectory": str(folder / "tree")}}


def test_a_tree_of_ours_is_served_by_docker_registry(tmp_path: Path) -> None:
    with matou(tmp_path, in_tree(tmp_path)) as hub:
        population = populate(hub)
        hub.push_image("team/tagged", "a", "b")
        hub.delete("/v2/team/tagged/manifests/a")
        population = population.and_then(Population(["/v2/team/tagged/manifests/a", "/v2/team/tagged/manifests/b"], []))
        expected = picture(hub, population)
        assert hub.tags("team/tagged") == ["b"]
        named = {hub.get(f"/v2/team/app/manifests/{tag}").headers[2] for tag in ("1.0", "2.0")}
    # What a tag has named before is recorded beside what it names now.
    repositories = tmp_path / "tree" / "docker" / "registry" / "v2" / "repositories"
    links = (repositories / "team/app/_manifests/tags/latest/index/sha256").glob("*/link")
    assert {link.read_text() for link in links} == named
    with docker(tmp_path, in_tree(tmp_path)) as hub:
        compare(picture(hub, population), expected)
        assert hub.tags("team/tagged") == ["b"]


def test_a_tree_of_docker_registry_is_served_by_us(tmp_path: Path) -> None:
    with docker(tmp_path, in_tree(tmp_path)) as hub:
        population = populate(hub)
        expected = picture(hub, population)
    with matou(tmp_path, in_tree(tmp_path)) as hub:
        compare(picture(hub, population), expected)


def test_both_take_turns_and_the_index_is_rebuilt_in_between(tmp_path: Path) -> None:
    with matou(tmp_path, in_tree(tmp_path)) as hub:
        population = populate(hub, "ours")
        moved, deleted = hub.push_image("shared/app", "latest"), hub.push_image("shared/app", "old")
    with docker(tmp_path, in_tree(tmp_path)) as hub:
        population = population.and_then(populate(hub, "theirs"))
        newer = hub.push_image("shared/app", "latest")
        hub.delete(f"/v2/shared/app/manifests/{deleted.manifest.digest}")
        paths = [*moved.paths(), *newer.paths("latest"), *deleted.paths("old")]
        population = population.and_then(Population(paths, ["shared/app"]))
        expected = picture(hub, population)
    assert reindex(tmp_path)["skipped"] == 0
    with matou(tmp_path, in_tree(tmp_path)) as hub:
        compare(picture(hub, population), expected)
        # And on from there: what is pushed and deleted here is seen there.
        latest = hub.push_image("shared/app", "latest")
        hub.delete(f"/v2/shared/app/manifests/{newer.manifest.digest}")
        population = population.and_then(Population(latest.paths("latest"), []))
        expected = picture(hub, population)
    with docker(tmp_path, in_tree(tmp_path)) as hub:
        compare(picture(hub, population), expected)


def test_reindexing_changes_no_answer(tmp_path: Path) -> None:
    with matou(tmp_path, in_tree(tmp_path)) as hub:
        population = populate(hub)
        subject = hub.get("/v2/team/artifacts/manifests/plain").headers[2]
        population.paths.extend(["/v2/_catalog", f"/v2/team/artifacts/referrers/{subject}"])
        expected = picture(hub, population)
        assert b"sbom" in expected[f"/v2/team/artifacts/referrers/{subject}"].body
    before = journal(tmp_path)
    counts = [reindex(tmp_path), reindex(tmp_path)]
    assert counts[0] == counts[1]
    assert counts[0]["skipped"] == 0
    assert journal(tmp_path) == before
    with matou(tmp_path, in_tree(tmp_path)) as hub:
        compare(picture(hub, population), expected)
        hub.push_image("team/app", "after")
    assert journal(tmp_path)[: len(before)] == before
    assert len(journal(tmp_path)) == len(before) + 3  # two blobs and a manifest, under new ids


def journal(folder: Path) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(folder / "tree" / "matou" / "index.db")) as connection:
        return connection.execute("SELECT * FROM journal ORDER BY id").fetchall()


def reindex(folder: Path) -> dict[str, int]:
    """Run ``matou registry reindex`` and return its counts."""
    done = subprocess.run(
        [MATOU, "registry", "reindex", "--json", folder / "config.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    counts: dict[str, int] = json.loads(done.stdout)
    return counts
