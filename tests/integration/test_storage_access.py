"""What an administrator is told of a storage that cannot be used: by ``check-access``, and when the registry starts."""

from __future__ import annotations

import json
import threading
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from matou.cli.application import run
from matou.registry.access import STEPS
from tests.servers.fault_proxy import Answer, FaultProxy, Faults, Head, running_fault_proxy
from tests.servers.matou_registry import MatouRegistry
from tests.servers.ports import free_port
from tests.servers.program import refusal
from tests.servers.seaweedfs import (
    READER_KEY,
    READER_SECRET,
    SECRET_KEY,
    SeaweedFS,
    section,
)
from tests.servers.waiting import wait_until
from tests.unit.cli.shell import Ended, matou

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SKEWED = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large.</Message></Error>"
NO_BUCKET = "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>"
OTHER_REGION = (
    "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The region 'us-east-1' is wrong; expecting "
    "'eu-central-1'</Message><Region>eu-central-1</Region></Error>"
)


@pytest.fixture(scope="module")
def proxy(seaweedfs: SeaweedFS) -> Iterator[FaultProxy]:
    with running_fault_proxy(seaweedfs.ports["s3.port"]) as running:
        yield running


class Administrator:
    """Who writes configurations and starts registries.

    Args:
        folder: for them.
        endpoint: of the storage.
        capture: what this process prints.
    """

    def __init__(self, folder: Path, endpoint: str, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capture = capture
        self.endpoint = endpoint

    def storage(self, *, readonly: bool = False, **parameters: Any) -> dict[str, Any]:
        s3 = section(self.endpoint, **{"rootdirectory": f"/{self.folder.name}", **parameters})
        return {"s3": s3, "maintenance": {"readonly": {"enabled": readonly}}}

    def configured(self, *, readonly: bool = False, **parameters: Any) -> str:
        document = {"version": 0.1, "storage": self.storage(readonly=readonly, **parameters)}
        path = self.folder / "config.yml"
        path.write_text(yaml.safe_dump(document | {"http": {"addr": f"127.0.0.1:{free_port()}", "secret": "s"}}))
        return str(path)

    def check(self, *, readonly: bool = False, **parameters: Any) -> Ended:
        """Check in this process, which is quicker."""
        status = run(["storage", "check-access", self.configured(readonly=readonly, **parameters)])
        return Ended(status, *self.capture.readouterr())

    def refused(self, **parameters: Any) -> str:
        """Start a registry that cannot start; return the one line that it says last."""
        return refusal(self.configured(**parameters), MATOU_REGISTRY_STATE=str(self.folder / "state"))


@pytest.fixture
def administrator(
    proxy: FaultProxy, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Administrator:
    monkeypatch.setenv("LANGUAGE", "en")
    return Administrator(tmp_path, proxy.url, capsys)


def test_a_good_storage(administrator: Administrator) -> None:
    done = administrator.check()
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [f"{step}: ok" for step in STEPS]
    report = json.loads(matou("storage", "check-access", "--json", administrator.configured()).out)
    assert (report["driver"], report["ok"]) == ("s3", True)
    assert [step["step"] for step in report["steps"]] == list(STEPS)
    assert "写入对象" in matou("storage", "check-access", administrator.configured(), LANGUAGE="zh").out


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"secretkey": "wrong"}, ("SignatureDoesNotMatch", "check storage.s3.secretkey")),
        ({"accesskey": "wrong"}, ("InvalidAccessKeyId", "check storage.s3.accesskey")),
        (
            {"accesskey": READER_KEY, "secretkey": READER_SECRET},
            ("AccessDenied", "allow s3:PutObject on arn:aws:s3:::registry/"),
        ),
    ],
    ids=["secret", "key", "rights"],
)
def test_what_is_refused_is_told_with_cause_and_fix(
    administrator: Administrator, parameters: dict[str, Any], said: tuple[str, str]
) -> None:
    done = administrator.check(**parameters)
    assert (done.status, done.err) == (1, "")
    first = done.out.splitlines()[0]
    line = administrator.refused(**parameters)
    assert line.startswith("matou: the storage cannot be used: ")
    for words in said:
        assert words in first
        assert words in line
    # Where the storage does not know who asks, there is nothing else to tell.
    assert (len(done.out.splitlines()) == 1) == ("secretkey" not in parameters or parameters["secretkey"] == "wrong")
    for secret in ("wrong", READER_SECRET, SECRET_KEY):
        assert secret not in done.out + line


def test_a_bucket_that_does_not_exist(administrator: Administrator, proxy: FaultProxy) -> None:
    said = [
        line for line in administrator.check(readonly=True, bucket="nothing-like-it").out.splitlines() if "list" in line
    ]
    # SeaweedFS would make the bucket when something is written.
    with proxy.having(Faults(answer=answer_always(404, NO_BUCKET))):
        said += [
            administrator.check(bucket="nothing-like-it").out.splitlines()[0],
            administrator.refused(bucket="nothing-like-it"),
        ]
    assert len(said) == 3
    for line in said:
        assert "there is no bucket nothing-like-it; create it, or correct storage.s3.bucket" in line


def test_a_bucket_with_a_slash(administrator: Administrator) -> None:
    done = administrator.check(bucket="registry/images")
    assert (done.status, done.out) == (1, "")
    for said in (done.err, administrator.refused(bucket="registry/images")):
        assert "storage.s3.bucket" in said
        assert "rootdirectory" in said


def refuse_head(head: Head) -> Answer | None:
    return Answer(403) if head.method == "HEAD" else None


def test_a_key_that_may_not_ask_for_heads(administrator: Administrator, proxy: FaultProxy) -> None:
    with proxy.having(Faults(answer=refuse_head)):
        done = administrator.check()
        line = administrator.refused()
    assert done.status == 1
    lines = dict(line.split(": ", 1) for line in done.out.splitlines())
    assert lines["write an object"] == lines["read an object"] == lines["delete objects"] == "ok"
    for said in (lines["HEAD of an object"], line):
        assert "403" in said
        assert "s3:GetObject" in said
    assert "refuses a URL that was signed a moment ago (403)" in lines["HEAD by a signed URL"]


def answer_always(status: int, body: str, **headers: str) -> Callable[[Head], Answer]:
    return lambda head: Answer(status, "" if head.method == "HEAD" else body, headers)


def test_a_clock_that_is_wrong(administrator: Administrator, proxy: FaultProxy) -> None:
    an_hour_ago = formatdate(time.time() - 3600, usegmt=True)
    with proxy.having(Faults(answer=answer_always(403, SKEWED, Date=an_hour_ago))):
        said = (administrator.check().out.splitlines()[0], administrator.refused())
    for line in said:
        assert "RequestTimeTooSkewed" in line
        assert "s ahead of the service's; have it set by NTP" in line


def test_a_wrong_region(administrator: Administrator, proxy: FaultProxy) -> None:
    with proxy.having(Faults(answer=answer_always(400, OTHER_REGION))):
        said = (administrator.check().out.splitlines()[0], administrator.refused())
    for line in said:
        assert "set storage.s3.region: eu-central-1" in line


def test_read_only_mode_needs_no_right_to_write(administrator: Administrator) -> None:
    reader = {"accesskey": READER_KEY, "secretkey": READER_SECRET}
    done = administrator.check(readonly=True, **reader)
    assert (done.status, done.err) == (0, "")
    assert "write an object" not in done.out
    registry = MatouRegistry(administrator.folder / "r", {"storage": administrator.storage(readonly=True, **reader)})
    try:
        registry.start()
        assert httpx.post(f"{registry.url}/v2/a/blobs/uploads/", trust_env=False).status_code == 405
    finally:
        registry.stop()
    assert registry.tracebacks() == []


def test_a_storage_that_comes_up_later_is_waited_for(administrator: Administrator, proxy: FaultProxy) -> None:
    registry = MatouRegistry(administrator.folder / "r", {"storage": administrator.storage()})

    def heal_when_it_waits() -> None:
        wait_until(lambda: registry.log.exists() and "waiting 60 s for the storage" in registry.log.read_text())
        proxy.set(Faults())

    healing = threading.Thread(target=heal_when_it_waits)
    proxy.set(Faults(refuse=True))
    healing.start()
    try:
        registry.start()
    finally:
        healing.join()
        registry.stop()
    assert registry.tracebacks() == []
