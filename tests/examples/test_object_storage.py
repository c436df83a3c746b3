"""The examples of object storage, each on the server that the tests have for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import yaml

from tests.examples.served import push_image, running_example
from tests.servers.object_storages import OBJECT_STORAGES

if TYPE_CHECKING:
    from pathlib import Path

SERVERS = {
    "s3": "s3",
    "s3-compatible": "s3",
    "azure": "azure",
    "gcs": "gcs",
    "swift": "swift",
    "oss": "oss",
}
OF_KEYSTONE = {
    "REGISTRY_STORAGE_SWIFT_TENANT": "",
    "REGISTRY_STORAGE_SWIFT_DOMAIN": "",
    "REGISTRY_STORAGE_SWIFT_REGION": "",
}


@pytest.mark.parametrize("name", SERVERS)
def test_images_lie_in_the_storage(name: str, tmp_path: Path) -> None:
    """Names, keys and addresses of the server replace those of the example; what it shows stays."""
    folder = tmp_path / "server"
    folder.mkdir()
    with OBJECT_STORAGES[SERVERS[name]](folder) as storage:
        ((driver, parameters),) = storage.section.items()
        given = {
            f"REGISTRY_STORAGE_{driver.upper()}_{key.upper()}": yaml.safe_dump(value).removesuffix("...\n").strip()
            for key, value in parameters.items()
        }
        if name == "swift":
            given |= OF_KEYSTONE  # the server has users of its own
        with running_example(name, tmp_path, **given, **storage.variables) as example:
            pushed = push_image(example.client, "team/app", "1")
            assert pushed.status_code == 201
            manifest = example.client.get("/v2/team/app/manifests/1").json()
            for descriptor in (manifest["config"], *manifest["layers"]):
                answer = example.client.get(f"/v2/team/app/blobs/{descriptor['digest']}")
                assert answer.status_code == (200 if name == "s3-compatible" else 307)
                if answer.status_code == 307:
                    answer = httpx.get(answer.headers["location"], trust_env=False)
                assert len(answer.content) == descriptor["size"]
        assert not example.tree.exists()
