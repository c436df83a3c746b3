from __future__ import annotations

import os
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from bench.backends import Filesystem, SeaweedFS, running_backend
from bench.procfs import process_tree
from bench.servers import Candidate, ServerError, pinned, render_configuration, start, stop

SERVER = """
import http.server, subprocess, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_candidate() -> None:
    assert Candidate.parse("v3 = /opt/registry serve {config} --x=1") == Candidate(
        "v3", "/opt/registry serve {config} --x=1"
    )
    assert Candidate.parse("v3=registry {config}").has_auth
    assert not Candidate.parse("other=other --port {port} --dir {root}").has_auth


@pytest.mark.parametrize("text", ["v3", "=registry {config}", "v3=", "v3=registry serve"])
def test_unusable_candidate(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected NAME=COMMAND|cannot be given a port"):
        Candidate.parse(text)


def test_configuration_without_authentication() -> None:
    configuration = yaml.safe_load(render_configuration(Filesystem(), Path("/srv/x"), 5001, None))
    assert configuration["http"]["addr"] == "127.0.0.1:5001"
    assert configuration["storage"]["filesystem"] == {"rootdirectory": "/srv/x"}
    assert configuration["log"] == {"level": "error", "accesslog": {"disabled": True}}
    assert "auth" not in configuration


def test_a_bucket_has_a_prefix_for_each_registry() -> None:
    storage = yaml.safe_load(render_configuration(SeaweedFS(8333), Path("/srv/root-own"), 5001, None))["storage"]
    assert storage["s3"]["rootdirectory"] == "/root-own"
    assert storage["s3"]["regionendpoint"] == "http://127.0.0.1:8333"
    assert storage["redirect"] == {"disable": True}


def test_seaweedfs_runs_only_as_long_as_it_is_needed(tmp_path: Path) -> None:
    with running_backend("s3", tmp_path) as backend:
        endpoint = backend.section(tmp_path)["s3"]["regionendpoint"]
        assert httpx.get(f"{endpoint}/registry/", trust_env=False).status_code == 403
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{endpoint}/registry/", trust_env=False)


def test_configuration_with_authentication() -> None:
    token = yaml.safe_load(render_configuration(Filesystem(), Path("/srv/x"), 5001, Path("/srv/ca.crt")))["auth"][
        "token"
    ]
    assert token["rootcertbundle"] == "/srv/ca.crt"
    assert set(token) == {"realm", "service", "issuer", "rootcertbundle"}


def test_pinning_is_undone() -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    with pinned(core):
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before


def test_a_server_is_pinned_and_stopped_with_its_children(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    candidate = Candidate("own", f"{sys.executable} {script} {{port}} {{config}}")
    core = min(os.sched_getaffinity(0))
    server = start(candidate, Filesystem(), tmp_path / "root", tmp_path, core, None, {})
    try:
        tree = process_tree(server.pid)
        assert len(tree) == 2
        assert all(os.sched_getaffinity(process.pid) == {core} for process in tree)
        with server.connect() as connection:
            assert connection.request("GET", "/v2/").status == 200
    finally:
        stop(server)
    assert server.process.returncode is not None
    with pytest.raises(ServerError, match="own ended with status"):
        server.check_alive()
    states = [Path(f"/proc/{process.pid}/stat") for process in tree]
    assert all(not path.exists() or ") Z " in path.read_text() for path in states)


def test_a_server_that_ends_shows_its_log(tmp_path: Path) -> None:
    candidate = Candidate("own", f"{sys.executable} -c 'import sys; sys.exit(\"bad key\")' {{config}}")
    with pytest.raises(ServerError, match="status 1; its log ends: bad key"):
        start(candidate, Filesystem(), tmp_path / "root", tmp_path, min(os.sched_getaffinity(0)), None, {})


def test_a_program_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="cannot be run"):
        start(Candidate("own", "/nowhere {config}"), Filesystem(), tmp_path / "root", tmp_path, 0, None, {})
