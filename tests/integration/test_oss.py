"""The registry on Alibaba Cloud OSS, the stand-in: what is OSS's own."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.integration.hub import Hub
from tests.registry_http.content import blob
from tests.servers.matou_registry import running_registry
from tests.servers.oss.faults import Fault
from tests.servers.oss.server import OssServer, running_oss, section

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "team/app"
MIB = 1 << 20
WRITING = {"PutObject", "CopyObject", "InitiateMultipartUpload"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OssServer]:
    with running_oss(tmp_path) as running:
        yield running


def test_a_storage_that_is_busy_is_not_noticed_and_all_is_encrypted(server: OssServer, tmp_path: Path) -> None:
    faults = server.front.faults
    sections = {"storage": {"oss": section(server, encrypt=True), "redirect": {"disable": True}}}
    with running_registry(tmp_path / "registry", sections, 1) as registry, contextlib.closing(Hub(registry.url)) as hub:
        for operation in ("PutObject", "CopyObject", "UploadPartCopy", "CompleteMultipartUpload"):
            faults.coming.append(Fault(operation, status=503, code="ServiceBusy"))
        content = hub.push_blob(NAME, blob(6 * MIB), chunk=6 * MIB)
        hub.push_blob(NAME, blob(2 * MIB), chunk=2 * MIB)
        faults.coming.append(Fault("GetObject", after=MIB))
        assert hub.ask("GET", f"/v2/{NAME}/blobs/{content.digest}").content == content.content
        assert registry.tracebacks() == []
    assert [fault for fault in faults.coming if fault.times] == []
    written = [request for request in faults.seen if request.operation in WRITING]
    assert {request.operation for request in written} == WRITING
    assert {request.headers.get("x-oss-server-side-encryption") for request in written} == {"AES256"}
