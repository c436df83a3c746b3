"""The portal as ``matou serve`` runs it, with its registry and the command line beside."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.servers.matou_serve import ROOT_PASSWORD, MatouServe, running
from tests.servers.program import MATOU

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE = "container_registry"
NEW_PASSWORD = "quay-and-anchor-38"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MatouServe]:
    with running(tmp_path_factory.mktemp("portal") / "home", workers=1) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: MatouServe) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.portal, timeout=30, trust_env=False) as made:
        yield made


def registry_status(server: MatouServe, path: str, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"http://{server.registry}{path}", headers=headers, timeout=30, trust_env=False).status_code


def ask(client: httpx.Client, login: tuple[str, str], *scopes: str) -> httpx.Response:
    return client.get("/jwt/auth", params={"service": SERVICE, "scope": list(scopes)}, auth=login)


def test_the_registry_takes_our_tokens(server: MatouServe, client: httpx.Client) -> None:
    server.matou("admin", "create-project", "team/app")
    reply = ask(client, ("root", ROOT_PASSWORD), "repository:team/app:pull,push", "registry:catalog:*")
    assert reply.status_code == 200
    token = reply.json()["token"]
    assert registry_status(server, "/v2/", token) == 200
    assert registry_status(server, "/v2/_catalog", token) == 200
    assert registry_status(server, "/v2/team/app/tags/list", token) == 404
    assert registry_status(server, "/v2/team/other/tags/list", token) == 401
    assert '<span class="state good">running</span>' in client.get("/").text.partition("</dd>")[0]


def test_commands_work_while_the_server_runs(server: MatouServe, client: httpx.Client) -> None:
    said = server.matou("admin", "create-user", "carol", "--password-stdin", stdin=f"{NEW_PASSWORD}\n")
    assert said.startswith("user carol made, with id ")
    assert ask(client, ("carol", NEW_PASSWORD)).status_code == 200
    token = server.matou("admin", "create-token", "carol", "--scope", "read_registry", "--scope", "write_registry")
    assert token.startswith("glpat-")
    assert "\n" not in token
    server.matou("admin", "create-project", "harbour/crane/app", "--visibility", "internal")
    server.matou("admin", "add-member", "carol", "harbour/crane", "--role", "developer")
    reply = ask(client, ("carol", token), "repository:harbour/crane/app:pull,push")
    assert registry_status(server, "/v2/harbour/crane/app/tags/list", reply.json()["token"]) == 404
    projects = json.loads(server.matou("admin", "list-projects", "--json"))
    assert {"harbour/crane/app": "internal"}.items() <= {
        project["path_with_namespace"]: project["visibility"] for project in projects
    }.items()
    server.matou("admin", "reset-password", "carol", "--password-stdin", stdin="keel-and-rudder-55\n")
    assert ask(client, ("carol", NEW_PASSWORD)).status_code == 401
    assert ask(client, ("carol", "keel-and-rudder-55")).status_code == 200
    server.matou("admin", "block-user", "carol")
    assert ask(client, ("carol", token)).status_code == 401
    server.matou("admin", "unblock-user", "carol")
    assert ask(client, ("carol", token)).status_code == 200
    users = {user["username"]: user for user in json.loads(server.matou("admin", "list-users", "--json"))}
    assert users["root"]["is_admin"] is True
    assert users["carol"]["state"] == "active"
    assert "carol" in server.matou("admin", "list-users")


@pytest.mark.parametrize(
    ("arguments", "stdin", "status", "told"),
    [
        (("create-user", "dave"), "", 2, "give --password-stdin"),
        (("create-user", "dave", "--password-stdin"), "", 1, "standard input holds no password"),
        (("create-user", "dave", "--password-stdin"), "short\n", 1, "password: This password is too short"),
        (("create-user", "root", "--password-stdin"), f"{NEW_PASSWORD}\n", 1, "username: has already been taken"),
        (("create-user", "-", "--password-stdin"), f"{NEW_PASSWORD}\n", 1, "username: can only include"),
        (("create-token", "root"), "", 2, "--scope"),
        (("create-token", "root", "--scope", "fly"), "", 1, "scopes: can only contain available scopes: not fly"),
        (("create-token", "nobody", "--scope", "api"), "", 1, "there is no user nobody"),
        (("create-token", "root", "--scope", "api", "--expires-at", "2001-01-01"), "", 1, "in the future"),
        (("create-token", "root", "--scope", "api", "--expires-at", "soon"), "", 2, "--expires-at"),
        (("create-project", "alone"), "", 2, "names no group"),
        (("create-project", "root/a b"), "", 1, "path: can only include"),
        (("create-project", "a/b", "--visibility", "secret"), "", 2, "--visibility"),
        (("add-member", "root", "nothing"), "", 1, "there is no group or project nothing"),
        (("block-user", "root"), "", 1, "last administrator"),
    ],
)
def test_commands_that_fail(server: MatouServe, arguments: tuple[str, ...], stdin: str, status: int, told: str) -> None:
    done = subprocess.run(
        [str(MATOU), "admin", *arguments],
        env=server.environment,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert done.stdout == ""
    assert told in done.stderr
    assert done.stderr.startswith("matou: ")
    assert done.stderr.count("\n") == 1


def test_commands_without_an_installation(server: MatouServe) -> None:
    environment = server.environment | {"MATOU_HOME": str(server.home / "nothing")}
    done = subprocess.run([MATOU, "admin", "list-users"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "there is no installation that this user may use" in done.stderr
    assert not (server.home / "nothing").exists()


def test_a_project_that_is_there_leaves_nothing_behind(server: MatouServe) -> None:
    command = [str(MATOU), "admin", "create-project", "half/made/-bad"]
    done = subprocess.run(command, env=server.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    done = subprocess.run(
        [MATOU, "admin", "add-member", "root", "half"],
        env=server.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "there is no group or project half" in done.stderr


def test_secrets_are_in_no_log(server: MatouServe, client: httpx.Client) -> None:
    token = server.matou("admin", "create-token", "root", "--scope", "api")
    client.get("/api/v4/user", params={"private_token": token})
    client.get("/api/v4/user", headers={"PRIVATE-TOKEN": token})
    ask(client, ("root", token))
    ask(client, ("root", "not-the-password"))
    ask(client, ("root", ROOT_PASSWORD))
    form = {"grant_type": "password", "username": "root", "password": ROOT_PASSWORD}
    made = client.post("/oauth/token", data=form).json()
    client.get("/api/v4/user", params={"access_token": made["access_token"]})
    log = server.log.read_text()
    for secret in (token, "not-the-password", ROOT_PASSWORD, made["access_token"], made["refresh_token"]):
        assert secret not in log
    assert "private_token=[FILTERED]" in log
    assert "authentication of 'root' from 127.0.0.1 failed" in log


def test_request_ids_and_encoded_paths(server: MatouServe, client: httpx.Client) -> None:
    first, second, _ = (client.get("/help/authentication").headers["X-Request-Id"] for _ in range(3))
    assert first != second
    assert f"request_id={first}" in server.log.read_text()
    server.matou("admin", "create-project", "encoded/app")
    token = server.matou("admin", "create-token", "root", "--scope", "api")
    reply = client.get("/api/v4/projects/encoded%2Fapp", headers={"PRIVATE-TOKEN": token})
    assert reply.json()["path_with_namespace"] == "encoded/app"


def test_head(client: httpx.Client) -> None:
    reply = client.head("/")
    assert reply.status_code == 200
    assert reply.content == b""
    assert int(reply.headers["Content-Length"]) > 1000


def test_bodies_that_are_too_large(client: httpx.Client) -> None:
    reply = client.post("/oauth/token", content=b"x" * (2 << 20))
    assert reply.status_code == 413
    assert reply.json() == {"message": "413 Request Entity Too Large"}
    assert client.get("/-/liveness").status_code == 200


def send(server: MatouServe, text: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.portal_port), timeout=30) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/1.1\r\n\r\n",  # no Host
        b"GET /%ff%fe?%ff=%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /assets/..%2f..%2fsettings.py HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET http://evil.example/-/liveness HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 60_000 + b"\r\nConnection: close\r\n\r\n",
        b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /jwt/auth?service=container_registry&scope=%00 HTTP/1.1\r\nAuthorization: Basic \xff\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"NONSENSE\r\n\r\n",
    ],
)
def test_odd_requests_hurt_nobody(server: MatouServe, client: httpx.Client, text: bytes) -> None:
    answer = send(server, text)
    assert b"Traceback" not in answer
    assert b"SECRET_KEY" not in answer
    assert not answer.startswith(b"HTTP/1.1 500")
    assert client.get("/-/liveness").status_code == 200


def test_many_at_once(server: MatouServe, client: httpx.Client) -> None:
    token = server.matou("admin", "create-token", "root", "--scope", "api")
    statuses: list[Any] = []

    def pull() -> None:
        with httpx.Client(base_url=server.portal, timeout=60, trust_env=False) as own:
            statuses.extend(ask(own, ("root", token), f"repository:team/app/{n}:push").status_code for n in range(5))

    threads = [threading.Thread(target=pull) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 80
    assert client.get("/-/readiness").status_code == 200


def test_a_random_password_is_told_once(tmp_path: Any) -> None:
    server = MatouServe(tmp_path / "home", workers=1)
    del server.environment["MATOU_ROOT_PASSWORD"]
    try:
        server.start()
        password = (server.home / "initial_root_password").read_text().strip()
        assert httpx.get(
            f"{server.portal}/jwt/auth",
            params={"service": SERVICE},
            auth=("root", password),
            timeout=30,
            trust_env=False,
        ).is_success
        assert server.stop() == 0
        assert server.log.read_text().count(password) == 1
        server.start()
        assert server.stop() == 0
        assert server.log.read_text().count(password) == 1
    finally:
        server.stop()
