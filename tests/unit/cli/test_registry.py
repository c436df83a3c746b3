"""``matou registry config-check`` and ``reindex``; ``serve`` as far as it refuses."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from matou.registry.blobs import layout
from matou.registry.content.digest import Digest
from tests.unit.cli.shell import matou

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of Distribution with one image under two tags."""
    root = tmp_path / "tree"

    def put(path: str, content: bytes) -> None:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    config = b"{}"
    described = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest.of(config), "size": 2}
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": []}
    manifest = json.dumps(document).encode()
    put(layout.blob_data(Digest.of(config)), config)
    put(layout.layer_link("team/app", Digest.of(config)), Digest.of(config).encode())
    put(layout.blob_data(Digest.of(manifest)), manifest)
    put(layout.revision_link("team/app", Digest.of(manifest)), Digest.of(manifest).encode())
    for tag in ("1", "2"):
        put(layout.tag_current("team/app", tag), Digest.of(manifest).encode())
    return root


def written(folder: Path, **changes: Any) -> str:
    """Write a configuration; return its path."""
    document: dict[str, Any] = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "tree")}},
        "http": {"addr": "127.0.0.1:5000"},
    }
    path = folder / "config.yml"
    path.write_text(yaml.safe_dump(document | changes))
    return str(path)


def test_config_check_of_a_good_configuration(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert matou("registry", "config-check", path) == (0, f"{path}: valid\n", "")
    assert matou("registry", "config-check", REGISTRY_CONFIGURATION_PATH=path) == (0, f"{path}: valid\n", "")
    done = matou("registry", "config-check", path, "--json")
    assert (done.status, done.err) == (0, "")
    assert json.loads(done.out) == {"path": path, "valid": True, "errors": [], "warnings": []}


def test_config_check_names_unknown_keys_and_fails_when_strict(tmp_path: Path) -> None:
    path = written(tmp_path, htttp={})
    done = matou("registry", "config-check", path)
    assert done.status == 0
    assert done.err.startswith("warning: ")
    assert "htttp" in done.err
    assert done.out == f"{path}: valid\n"
    strict = matou("registry", "config-check", path, "--strict")
    assert (strict.status, strict.out, strict.err) == (1, "", done.err)
    report = json.loads(matou("registry", "config-check", path, "--strict", "--json").out)
    assert report["valid"] is False
    assert report["errors"] == []
    assert "htttp" in report["warnings"][0]


def test_config_check_of_a_bad_configuration(tmp_path: Path) -> None:
    path = written(tmp_path, storage={"s3": {"bucket": "b"}})
    done = matou("registry", "config-check", path)
    assert (done.status, done.out) == (1, "")
    assert all(line.startswith("error: ") for line in done.err.splitlines())
    assert "s3" in done.err
    report = json.loads(matou("registry", "config-check", path, "--json").out)
    assert report["valid"] is False
    assert "s3" in report["errors"][0]


@pytest.mark.parametrize("command", ["serve", "reindex"])
def test_a_bad_configuration_ends_every_command(command: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("version: 0.1\nstorage: [filesystem]\n")
    done = matou("registry", command, str(path))
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(f"matou: {path}:2: ")
    missing = matou("registry", command, str(tmp_path / "none.yml"))
    assert missing.status == 1
    assert missing.err.startswith(f"matou: {tmp_path / 'none.yml'}: cannot be read: No such file or directory")


def test_serve_refuses_an_address_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = matou("registry", "serve", written(tmp_path, http={"addr": address, "secret": "s"}))
    assert done.status == 1
    assert f"cannot listen on {address}" in done.err


def test_reindex_counts_what_the_tree_has(tree: Path, tmp_path: Path) -> None:
    path = written(tmp_path)
    done = matou("registry", "reindex", path)
    counts = {"repositories": 1, "manifests": 1, "tags": 2, "blobs": 1, "skipped": 0}
    assert done == (0, "".join(f"{name}: {count}\n" for name, count in counts.items()), "")
    assert (tree / "matou" / "index.db").exists()
    again = matou("registry", "reindex", path, "--json")
    assert (again.status, again.err) == (0, "")
    assert json.loads(again.out) == counts


def test_reindex_speaks_chinese(tree: Path, tmp_path: Path) -> None:
    assert tree.exists()
    done = matou("registry", "reindex", written(tmp_path), LANG="zh_CN.UTF-8")
    assert done.out.splitlines()[0] == "镜像仓库: 1"
    assert json.loads(matou("registry", "reindex", written(tmp_path), "--json", LANG="zh_CN.UTF-8").out)["tags"] == 2
