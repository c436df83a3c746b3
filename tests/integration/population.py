"""Everything that a storage tree can hold, pushed to a registry of any make."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.integration.hub import Image
from tests.registry_http.content import (
    DOCKER_CONFIG,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    SBOM,
    blob,
    document,
    image,
    index,
)

if TYPE_CHECKING:
    from tests.integration.hub import Hub
    from tests.registry_http.content import Blob

DEEP = "deep/" + "/".join("abcdefghijklmnop")


class Population(NamedTuple):
    """What was pushed.

    Attributes:
        paths: below ``/v2``, each to be answered alike: what is there and what was deleted.
        repositories: names.
    """

    paths: list[str]
    repositories: list[str]

    def and_then(self, other: Population) -> Population:
        """Return both."""
        return Population(
            [*dict.fromkeys([*self.paths, *other.paths])],
            [*dict.fromkeys([*self.repositories, *other.repositories])],
        )


def populate(hub: Hub, prefix: str = "team", *, empty: bool = True) -> Population:
    """Push images, indexes, artifacts and blobs; move and delete some.

    Args:
        hub: where to.
        prefix: of the repositories' names.
        empty: whether a blob without content is among it, which docker-registry cannot store on S3 and Swift.
    """
    paths: list[str] = []
    app, multi, mounted = f"{prefix}/app", f"{prefix}/multi", f"{prefix}/mounted"
    deleted, emptied, stray = f"{prefix}/deleted", f"{prefix}/emptied", f"{prefix}/app/stray"
    deep = f"{prefix}/{DEEP}"

    first = hub.push_image(app, "1.0", "latest", media_type=DOCKER_MANIFEST, config_type=DOCKER_CONFIG, layers=3)
    second = hub.push_image(app, "latest", "2.0", media_type=DOCKER_MANIFEST, config_type=DOCKER_CONFIG)
    paths += [*first.paths("1.0"), *second.paths("latest", "2.0")]

    for of_index, of_images, tag in ((OCI_INDEX, OCI_MANIFEST, "multi"), (DOCKER_LIST, DOCKER_MANIFEST, "list")):
        children = [hub.push_image(multi, media_type=of_images) for _ in range(2)]
        descriptors = [
            child.manifest.descriptor(platform={"os": "linux", "architecture": architecture})
            for child, architecture in zip(children, ("amd64", "arm64"), strict=True)
        ]
        pushed = hub.push(multi, index(descriptors, of_index), tag)
        paths += [path for child in children for path in child.paths()]
        paths += Image(multi, pushed, ()).paths(tag)

    for content in first.blobs:
        hub.mount(mounted, app, content)
    hub.push(mounted, first.manifest, "m")
    paths += Image(mounted, first.manifest, first.blobs).paths("m")

    paths += hub.push_image(deep, "v1").paths("v1")
    paths += _artifacts(hub, prefix, blob(b"" if empty else b"x"))

    gone, kept = hub.push_image(deleted, "x", "y"), hub.push_image(deleted, "kept")
    hub.delete(f"/v2/{deleted}/manifests/{gone.manifest.digest}")
    hub.delete(f"/v2/{deleted}/blobs/{gone.blobs[0].digest}")
    paths += [*gone.paths("x", "y"), *kept.paths("kept")]

    only = hub.push_image(emptied, "only")
    hub.delete(f"/v2/{emptied}/manifests/{only.manifest.digest}")
    paths += only.paths("only")

    paths.append(f"/v2/{stray}/blobs/{hub.push_blob(stray, blob()).digest}")
    assert hub.ask("POST", f"/v2/{app}/blobs/uploads/").status_code == 202  # and never finished
    return Population(paths, [app, multi, mounted, deleted, emptied, deep, f"{prefix}/artifacts"])


def _artifacts(hub: Hub, prefix: str, smallest: Blob) -> list[str]:
    """Push what is not an image, and content of unusual form; return what can be pulled."""
    name = f"{prefix}/artifacts"
    config = hub.push_blob(name, blob(b"{}"))
    empty, large = hub.push_blob(name, smallest), hub.push_blob(name, blob(3_000_000), chunk=700_000)
    strong = hub.push_blob(name, blob(5000, "sha512"))
    layers = [each.descriptor("application/octet-stream") for each in (empty, large, strong)]
    plain = hub.push(name, image(config.descriptor(OCI_CONFIG), layers), "plain")
    untyped = document({"schemaVersion": 2, "config": config.descriptor(OCI_CONFIG), "layers": layers, "x": [1, None]})
    hub.push(name, untyped, "untyped")
    bill = image(
        config.descriptor(SBOM), layers, artifactType=SBOM, subject=plain.descriptor(), annotations={"a": "码头"}
    )
    hub.push(name, bill)
    untyped_index = document({"schemaVersion": 2, "manifests": [plain.descriptor()]}, OCI_INDEX)
    hub.push(name, untyped_index, "untyped-index")
    blobs = (config, empty, large, strong)
    return [
        *Image(name, plain, blobs).paths("plain"),
        *Image(name, untyped, ()).paths("untyped"),
        *Image(name, bill, ()).paths(),
        *Image(name, untyped_index, ()).paths("untyped-index"),
    ]
