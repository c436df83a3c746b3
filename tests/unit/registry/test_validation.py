from __future__ import annotations

import json
from typing import Any

import pytest

from matou.config.distribution import parse_configuration
from matou.registry.content.manifests import Manifest, parse_manifest
from matou.registry.errors import RegistryError
from matou.registry.http.validation import ValidationRules

DIGEST = "sha256:" + "0" * 64
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


def rules(validation: str) -> ValidationRules:
    text = f"version: 0.1\nstorage: inmemory\nvalidation: {validation}\n"
    return ValidationRules.from_configuration(parse_configuration(text.encode(), "config.yml", {}))


def image(*urls: str, layers: int = 1) -> Manifest:
    layer: dict[str, Any] = {"mediaType": FOREIGN, "digest": DIGEST, "size": 1}
    if urls:
        layer["urls"] = list(urls)
    document = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": DIGEST, "size": 1},
        "layers": [layer] * layers,
    }
    return parse_manifest(json.dumps(document).encode(), str(document["mediaType"]))


ALLOW = r"{manifests: {urls: {allow: ['^https://a\.example\.com/']}}}"
DENY = r"{manifests: {urls: {deny: ['^https://d\.example\.com/']}}}"


@pytest.mark.parametrize(
    ("validation", "url", "code"),
    [
        ("{}", "https://a.example.com/x", None),
        ("{manifests: {urls: {deny: ['.']}}}", "https://a.example.com/x", "MANIFEST_INVALID"),
        (ALLOW, "https://a.example.com/x", None),
        (ALLOW, "https://b.example.com/x", "MANIFEST_INVALID"),
        (DENY, "https://a.example.com/x", None),
        (DENY, "https://d.example.com/x", "MANIFEST_INVALID"),
        ("{disabled: true}", "https://a.example.com/x", None),
        ("{disabled: true}", "ftp://a.example.com/x", "MANIFEST_INVALID"),
    ],
)
def test_urls_of_layers_that_lie_elsewhere(validation: str, url: str, code: str | None) -> None:
    if code is None:
        rules(validation).check(image(url), 100)
        return
    with pytest.raises(RegistryError) as caught:
        rules(validation).check(image(url), 100)
    assert caught.value.code == code


def test_limits() -> None:
    limited = rules("{manifests: {referencelimit: 3, payloadsizelimit: 100}}")
    limited.check(image(layers=2), 100)
    with pytest.raises(RegistryError) as caught:
        limited.check(image(layers=3), 100)
    assert (caught.value.code, caught.value.detail) == ("MANIFEST_REFERENCE_LIMIT", {"references": 4, "limit": 3})
    with pytest.raises(RegistryError) as caught:
        limited.check(image(), 101)
    assert (caught.value.code, caught.value.detail) == ("MANIFEST_SIZE_LIMIT", {"size": 101, "limit": 100})


@pytest.mark.parametrize("validation", ["{}", "{disabled: true, manifests: {referencelimit: 1, payloadsizelimit: 1}}"])
def test_no_limit_unless_given_and_enabled(validation: str) -> None:
    rules(validation).check(image(layers=100), 1 << 20)
