"""The examples of object storage, each on the server that the tests have for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import yaml

from tests.examples.served import digest_of, push_image, running_example
from tests.servers.object_storages import OBJECT_STORAGES
from tests.servers.redis import running_redis

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.object_storages import ObjectStorage

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


def of_server(storage: ObjectStorage) -> dict[str, str]:
    """Return the variables that replace an example's storage by a server of the tests."""
    ((driver, parameters),) = storage.section.items()
    return {
        f"REGISTRY_STORAGE_{driver.upper()}_{key.upper()}": yaml.safe_dump(value).removesuffix("...\n").strip()
        for key, value in parameters.items()
    }


@pytest.mark.parametrize("name", SERVERS)
def test_images_lie_in_the_storage(name: str, tmp_path: Path) -> None:
    """Names, keys and addresses of the server replace those of the example; what it shows stays."""
    folder = tmp_path / "server"
    folder.mkdir()
    with OBJECT_STORAGES[SERVERS[name]](folder) as storage:
        given = of_server(storage)
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


def test_what_is_known_about_blobs_lies_in_redis(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    with (
        OBJECT_STORAGES["s3"](folder) as storage,
        running_redis(tmp_path, ["requirepass word"], password="word") as redis,
    ):
        given = {**of_server(storage), "REGISTRY_REDIS_ADDR": redis.address, "REGISTRY_REDIS_PASSWORD": "word"}
        with running_example("redis-cache", tmp_path, **given, **storage.variables) as example:
            assert push_image(example.client, "team/app", "1").status_code == 201
            layer = digest_of(b"a layer")
            for _ in range(2):
                assert example.client.get(f"/v2/team/app/blobs/{layer}").status_code == 307
            keys = redis.keys()
            (key,) = (key for key in keys if key.endswith(layer))
            assert redis.command("GET", key) == str(len(b"a layer"))
            redis.stop()
            assert example.client.get(f"/v2/team/app/blobs/{layer}").status_code == 307
        assert "the blob-descriptor cache in Redis fails" in example.log.read_text()
