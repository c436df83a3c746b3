from __future__ import annotations

import pytest

from matou.registry.content.mediatypes import DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_INDEX, OCI_MANIFEST
from matou.registry.http.negotiation import Negotiation, negotiate

STORED, PLATFORM, REFUSED = Negotiation.AS_STORED, Negotiation.DEFAULT_PLATFORM, Negotiation.REFUSED

CASES = [
    # Accept headers, what is stored, the verdict by tag, and by digest
    ([], OCI_MANIFEST, STORED, STORED),
    ([""], OCI_MANIFEST, STORED, STORED),
    (["*/*"], OCI_INDEX, STORED, STORED),
    (["application/*"], OCI_INDEX, STORED, STORED),
    ([f"text/html, {OCI_MANIFEST};q=0.5"], OCI_MANIFEST, STORED, STORED),
    ([OCI_INDEX, OCI_MANIFEST.upper()], OCI_MANIFEST, STORED, STORED),
    ([OCI_INDEX], OCI_MANIFEST, REFUSED, REFUSED),
    ([OCI_MANIFEST], OCI_INDEX, REFUSED, REFUSED),
    (["text/html"], OCI_MANIFEST, REFUSED, REFUSED),
    (["text/html"], DOCKER_MANIFEST, STORED, STORED),
    ([OCI_MANIFEST], DOCKER_MANIFEST, STORED, STORED),
    ([DOCKER_MANIFEST], DOCKER_MANIFEST_LIST, PLATFORM, STORED),
    ([DOCKER_MANIFEST, DOCKER_MANIFEST_LIST], DOCKER_MANIFEST_LIST, STORED, STORED),
    ([], DOCKER_MANIFEST_LIST, STORED, STORED),
]


@pytest.mark.parametrize(("accept", "media_type", "by_tag", "by_digest"), CASES)
def test_verdict(accept: list[str], media_type: str, by_tag: Negotiation, by_digest: Negotiation) -> None:
    assert negotiate(accept, media_type, by_tag=True) is by_tag
    assert negotiate(accept, media_type, by_tag=False) is by_digest
