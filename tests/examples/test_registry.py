"""Each configuration of ``examples/registry`` does what its first lines say."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import yaml

from matou.jwt.keyfiles import load_private_key
from matou.jwt.signing import sign
from tests.examples.served import (
    EXAMPLES,
    INDEX,
    MANIFEST,
    digest_of,
    error_code,
    push_blob,
    push_image,
    put_manifest,
    running_example,
)
from tests.servers.nginx import running_nginx
from tests.servers.oci_layout import write_layout
from tests.servers.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"


def test_every_example_says_what_it_shows_and_has_a_test_and_a_line_in_the_list() -> None:
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    readme = (EXAMPLES.parent / "README.md").read_text("utf-8")
    for path in EXAMPLES.iterdir():
        assert "\n# Shows: " in path.read_text("utf-8"), path.name
        assert f"(registry/{path.name})" in readme, path.name
        assert f'"{path.stem if path.suffix == ".yml" else path.name}"' in tests, path.name


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yml")), ids=lambda path: path.stem)
def test_examples_bind_no_public_address_without_tls(path: Path) -> None:
    http = yaml.safe_load(path.read_text("utf-8")).get("http", {})
    address = http.get("addr", "127.0.0.1:")
    assert address.startswith(("127.0.0.1:", "/")) or "tls" in http


def skopeo(*arguments: str) -> str:
    """Run skopeo; return what it printed."""
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_minimal(tmp_path: Path) -> None:
    index = write_layout(tmp_path / "image", "latest", "minimal")
    with running_example("minimal", tmp_path) as example:
        destination = f"docker://{example.address}/alpine:latest"
        skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{tmp_path / 'image'}:latest", destination)
        skopeo("copy", "--all", "--src-tls-verify=false", destination, f"oci:{tmp_path / 'again'}:latest")
        assert digest_of(skopeo("inspect", "--raw", "--tls-verify=false", destination).encode()) == index
        assert "no auth is configured" in example.log.read_text()
    assert (example.tree / "docker/registry/v2/repositories/alpine/_manifests/tags/latest/current/link").exists()


def test_htpasswd(tmp_path: Path) -> None:
    passwords = tmp_path / "htpasswd"
    made = subprocess.run(["htpasswd", "-Bbn", "alice", "wharf"], capture_output=True, check=True).stdout
    passwords.write_bytes(made)
    with running_example("htpasswd", tmp_path, REGISTRY_AUTH_HTPASSWD_PATH=str(passwords)) as example:
        refused = example.client.get("/v2/")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == 'Basic realm="our registry"'
        assert example.client.get("/v2/", auth=("alice", "wrong")).status_code == 401
        example.client.auth = ("alice", "wharf")
        assert example.client.get("/v2/").status_code == 200
        assert push_image(example.client, "team/app", "1").status_code == 201


def key_pair(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a key and its certificate with the command of the example; return the paths of both."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "30", "-subj", f"/CN={name}"]
    names = ["-addext", "subjectAltName=DNS:registry.example.com,IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", key, "-out", certificate], capture_output=True, check=True)
    return key, certificate


def test_token(tmp_path: Path) -> None:
    key, certificate = key_pair(tmp_path, "registry-token")
    stranger, _ = key_pair(tmp_path, "stranger")

    def token(signed_by: Path, actions: list[str]) -> str:
        now = int(time.time())
        claims = {"iss": "gitlab-issuer", "aud": "container_registry", "sub": "alice", "iat": now, "exp": now + 300}
        access = [{"type": "repository", "name": "team/app", "actions": actions}]
        return sign(claims | {"access": access}, load_private_key(signed_by))

    with running_example("token", tmp_path, REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE=str(certificate)) as example:
        refused = example.client.get("/v2/team/app/tags/list")
        assert refused.status_code == 401
        assert 'Bearer realm="https://gitlab.example.com/jwt/auth"' in refused.headers["www-authenticate"]
        assert 'scope="repository:team/app:pull"' in refused.headers["www-authenticate"]
        example.client.headers["authorization"] = f"Bearer {token(key, ['pull', 'push'])}"
        assert push_image(example.client, "team/app", "1").status_code == 201
        assert example.client.get("/v2/other/tags/list").status_code == 401
        assert example.client.delete("/v2/team/app/manifests/1").status_code == 401
        example.client.headers["authorization"] = f"Bearer {token(key, ['delete'])}"
        assert example.client.delete("/v2/team/app/manifests/1").status_code == 202
        example.client.headers["authorization"] = f"Bearer {token(stranger, ['pull'])}"
        assert example.client.get("/v2/team/app/tags/list").status_code == 401
        assert "token signed by untrusted key with ID" in example.log.read_text()


def test_read_only(tmp_path: Path) -> None:
    with running_example("minimal", tmp_path) as example:
        assert push_image(example.client, "team/app", "1").status_code == 201
    with running_example("read-only", tmp_path) as example:
        assert example.client.get("/v2/team/app/manifests/1").status_code == 200
        for refused in (push_blob(example.client, "team/app", b"x"), example.client.delete("/v2/team/app/manifests/1")):
            assert refused.status_code == 405
            assert error_code(refused) == "UNSUPPORTED"
            assert "maintenance" in refused.json()["errors"][0]["message"]


@pytest.mark.parametrize(("enabled", "status"), [(None, 405), ("true", 202)])
def test_delete_disabled(enabled: str | None, status: int, tmp_path: Path) -> None:
    variables = {} if enabled is None else {"REGISTRY_STORAGE_DELETE_ENABLED": enabled}
    with running_example("delete-disabled", tmp_path, **variables) as example:
        pushed = push_image(example.client, "team/app", "1")
        assert pushed.status_code == 201
        deleted = example.client.delete(f"/v2/team/app/manifests/{pushed.headers['docker-content-digest']}")
        assert deleted.status_code == status
        assert example.client.get("/v2/team/app/manifests/1").status_code == (200 if enabled is None else 404)


def test_upload_purging(tmp_path: Path) -> None:
    interval = {"REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_INTERVAL": "200ms"}
    with running_example("upload-purging", tmp_path, **interval) as example:
        begun = [example.client.post("/v2/team/app/blobs/uploads/") for _ in range(2)]
        assert [answer.status_code for answer in begun] == [202, 202]
        for answer in begun:
            assert example.client.patch(answer.headers["location"], content=b"part").status_code == 202
        old, young = (
            example.tree / "docker/registry/v2/repositories/team/app/_uploads" / answer.headers["docker-upload-uuid"]
            for answer in begun
        )
        a_day_ago = time.time() - 25 * 3600
        os.utime(old, (a_day_ago, a_day_ago))
        deadline = time.monotonic() + 60
        while old.exists():
            assert time.monotonic() < deadline, "never purged"
            time.sleep(0.05)
        assert young.read_bytes() == b"part"


def test_inmemory(tmp_path: Path) -> None:
    with running_example("inmemory", tmp_path, MATOU_REGISTRY_WORKERS="4") as example:
        pushed = push_image(example.client, "team/app", "1")
        assert pushed.status_code == 201
        for _ in range(20):  # over new connections, which several workers would share
            answer = httpx.get(f"http://{example.address}/v2/team/app/manifests/1", trust_env=False)
            assert answer.headers["docker-content-digest"] == pushed.headers["docker-content-digest"]
    assert not example.tree.exists()
    with running_example("inmemory", tmp_path) as example:
        assert example.client.get("/v2/team/app/manifests/1").status_code == 404


def test_foreign_urls(tmp_path: Path) -> None:
    with running_example("foreign-urls", tmp_path) as example:
        for url, status in (
            ("https://layers.example.com/base.tar.gz", 201),
            ("https://example.com/base.tar.gz", 201),
            ("https://internal.example.com/base.tar.gz", 400),
            ("https://elsewhere.example.org/base.tar.gz", 400),
            ("ftp://example.com/base.tar.gz", 400),
        ):
            layer = {"mediaType": FOREIGN, "digest": digest_of(b"elsewhere"), "size": 9, "urls": [url]}
            pushed = push_image(example.client, "team/app", "1", (layer,))
            assert pushed.status_code == status, url
            if status == 400:
                assert error_code(pushed) == "MANIFEST_INVALID"
                assert url in pushed.text


def test_sparse_indexes(tmp_path: Path) -> None:
    with running_example("sparse-indexes", tmp_path) as example:
        present = push_image(example.client, "team/app", "one").headers["docker-content-digest"]
        size = int(example.client.head(f"/v2/team/app/manifests/{present}").headers["content-length"])
        for absent, status in (("arm64", 201), ("amd64", 400)):
            children = [
                {
                    "mediaType": MANIFEST,
                    "digest": digest_of(b"not here") if architecture == absent else present,
                    "size": size,
                    "platform": {"os": "linux", "architecture": architecture},
                }
                for architecture in ("amd64", "arm64")
            ]
            index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": children}
            answer = put_manifest(example.client, "team/app", "both", index)
            assert answer.status_code == status, absent
        assert error_code(answer) == "MANIFEST_BLOB_UNKNOWN"
        assert digest_of(b"not here") in answer.text


def test_environment(tmp_path: Path) -> None:
    variables = {"REGISTRY_STORAGE_DELETE_ENABLED": "true", "REGISTRY_HTTP_HEADERS": "{X-Served-By: [wharf-1]}"}
    with running_example("environment", tmp_path, **variables) as example:
        assert example.client.get("/v2/").headers["x-served-by"] == "wharf-1"
        pushed = push_image(example.client, "team/app", "1")
        assert example.client.delete(pushed.headers["location"]).status_code == 202
    assert (example.tree / "docker").is_dir()


def test_relative_urls(tmp_path: Path) -> None:
    with running_example("relative-urls", tmp_path) as example:
        begun = example.client.post("/v2/team/app/blobs/uploads/", headers={"host": "any.example.com"})
        assert begun.headers["location"].startswith("/v2/team/app/blobs/uploads/")
        pushed = push_image(example.client, "team/app", "1")
        assert pushed.headers["location"].startswith("/v2/team/app/manifests/sha256:")


def test_prefix(tmp_path: Path) -> None:
    with running_example("prefix", tmp_path) as example:
        assert example.client.get("/v2/").status_code == 404
        assert example.client.get("/registry/v2/").status_code == 200
        begun = example.client.post("/registry/v2/team/app/blobs/uploads/")
        assert begun.headers["location"].startswith(f"http://{example.address}/registry/v2/team/app/blobs/uploads/")


def test_tls(tmp_path: Path) -> None:
    key, certificate = key_pair(tmp_path, "registry")
    trusting = ssl.create_default_context(cafile=certificate)
    port = free_port()
    url = f"https://127.0.0.1:{port}/v2/"
    variables = {
        "REGISTRY_HTTP_ADDR": f"127.0.0.1:{port}",
        "REGISTRY_HTTP_TLS_CERTIFICATE": str(certificate),
        "REGISTRY_HTTP_TLS_KEY": str(key),
    }
    with (
        httpx.Client(verify=trusting, trust_env=False) as client,
        running_example("tls", tmp_path, lambda: client.get(url).is_success, **variables),
    ):
        begun = client.post(f"{url}team/app/blobs/uploads/")
        assert begun.headers["location"].startswith(f"https://127.0.0.1:{port}/v2/team/app/blobs/uploads/")
        old = ssl.create_default_context(cafile=certificate)
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with httpx.Client(verify=old, trust_env=False) as client_of_old, pytest.raises(httpx.ConnectError):
            client_of_old.get(url)


def test_headers(tmp_path: Path) -> None:
    with running_example("headers", tmp_path) as example:
        for path in ("/v2/", "/v2/team/app/tags/list"):
            headers = example.client.get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["strict-transport-security"] == "max-age=31536000"


def test_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "registry.sock"

    def answers() -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(path)) == 0

    for tag in ("1", "2"):  # the second start finds the socket of the first
        with (
            running_example("unix-socket", tmp_path, answers, REGISTRY_HTTP_ADDR=str(path)),
            httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://registry") as client,
        ):
            assert push_image(client, "team/app", tag).status_code == 201
            assert client.get("/v2/team/app/manifests/1").status_code == 200


def test_health(tmp_path: Path) -> None:
    switch = tmp_path / "out-of-service"
    checks = {"REGISTRY_HEALTH_FILECHECKERS_0_FILE": str(switch), "REGISTRY_HEALTH_FILECHECKERS_0_INTERVAL": "100ms"}
    with running_example("health", tmp_path, **checks) as example:
        assert push_image(example.client, "team/app", "1").status_code == 201

        def becomes(status: int) -> httpx.Response:
            deadline = time.monotonic() + 60
            while (answer := example.client.get("/v2/team/app/manifests/1")).status_code != status:
                assert time.monotonic() < deadline, f"still {answer.status_code}"
                time.sleep(0.05)
            return answer

        switch.touch()
        assert error_code(becomes(503)) == "UNAVAILABLE"
        switch.unlink()
        becomes(200)


def test_logs(tmp_path: Path) -> None:
    with running_example("logs", tmp_path) as example:
        assert example.client.get("/v2/team/none/tags/list").status_code == 404
    lines = [json.loads(line) for line in example.log.read_text("utf-8").splitlines() if line.startswith("{")]
    assert lines
    for line in lines:
        assert (line["service"], line["environment"]) == ("registry", "production")
        assert {"level", "msg", "time"} <= set(line)
    assert "/v2/team/none/tags/list" in example.log.read_text("utf-8")


def test_metrics(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    with running_example("metrics", tmp_path, REGISTRY_HTTP_DEBUG_ADDR=address) as example:
        assert push_image(example.client, "team/app", "1").status_code == 201
        assert httpx.get(f"http://{address}/debug/health", trust_env=False).json() == {}
        metrics = httpx.get(f"http://{address}/metrics", trust_env=False)
        assert metrics.headers["content-type"].startswith("text/plain")
        assert "# TYPE registry_http_" in metrics.text


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[tuple[int, Path, dict[str, str]]]:
    """Run nginx with the site of the examples; yield its port, its certificate, and settings of the registry."""
    key, certificate = key_pair(tmp_path, "registry")
    port, registry_port = free_port(), free_port()
    site = (EXAMPLES / "nginx.conf").read_text("utf-8")
    for written, ours in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/certs/registry.crt", str(certificate)),
        ("/etc/ssl/private/registry.key", str(key)),
        ("http://127.0.0.1:5000", f"http://127.0.0.1:{registry_port}"),
    ):
        assert site.count(written) == 1
        site = site.replace(written, ours)
    with running_nginx(tmp_path, site):
        yield port, certificate, {"REGISTRY_HTTP_ADDR": f"127.0.0.1:{registry_port}"}


def test_behind_nginx(nginx: tuple[int, Path, dict[str, str]], tmp_path: Path) -> None:
    port, certificate, variables = nginx
    assert (EXAMPLES / "nginx.conf").name == "nginx.conf"
    context = ssl.create_default_context(cafile=certificate)
    host = {"host": "registry.example.com"}
    with (
        httpx.Client(verify=context, base_url=f"https://127.0.0.1:{port}", trust_env=False) as client,
        running_example("behind-nginx", tmp_path, lambda: client.get("/v2/").is_success, **variables),
    ):
        begun = client.post("/v2/team/app/blobs/uploads/", headers=host)
        assert begun.headers["location"].startswith("https://registry.example.com/v2/team/app/blobs/uploads/")
        with_port = client.post("/v2/team/app/blobs/uploads/")
        assert with_port.headers["location"].startswith(f"https://127.0.0.1:{port}/v2/team/app/blobs/uploads/")
        # Larger than what nginx takes by itself (1 MiB), and than what it keeps in memory.
        large = os.urandom(5 << 20)
        assert push_blob(client, "team/app", large).status_code == 201
        assert client.get(f"/v2/team/app/blobs/{digest_of(large)}").content == large
        assert push_image(client, "team/app", "1").status_code == 201
        tags = json.loads(client.get("/v2/team/app/tags/list").content)
        assert tags == {"name": "team/app", "tags": ["1"]}
        # The command that people run.
        write_layout(tmp_path / "image", "latest", "nginx")
        (tmp_path / "certificates").mkdir()
        shutil.copy(certificate, tmp_path / "certificates" / "ca.crt")
        skopeo(
            "copy",
            "--all",
            f"--dest-cert-dir={tmp_path / 'certificates'}",
            f"oci:{tmp_path / 'image'}:latest",
            f"docker://127.0.0.1:{port}/team/app:2",
        )
