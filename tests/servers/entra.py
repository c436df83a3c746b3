"""Microsoft Entra's side of tokens: an application with a secret, or with a federated identity, gets one for storage.

Source: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow.
"""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TENANT = "3f1d2a6c-0000-4000-8000-0000000000aa"
CLIENT = "7b5e9c10-0000-4000-8000-0000000000bb"
OBJECT = "1c9f0b44-0000-4000-8000-0000000000cc"
NOBODY = "7b5e9c10-0000-4000-8000-0000000000dd"  # an application whose tokens Azurite gives no delegation key for
SECRET = "secret-of-the-application"
ASSERTION = "token-of-the-cluster"
SCOPE = "https://storage.azure.com/.default"
AUDIENCE = "https://storage.azure.com"


def _encoded(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def token(client: str) -> str:
    """Return a token as Azurite checks it: all but its signature."""
    now = int(time.time())
    claims = {
        "aud": AUDIENCE,
        "iss": f"https://sts.windows.net/{TENANT}/",
        "iat": now - 60,
        "nbf": now - 60,
        "exp": now + 3600,
        "appid": client,
        **({} if client == NOBODY else {"oid": OBJECT}),
        "tid": TENANT,
    }
    return f"{_encoded({'alg': 'RS256', 'typ': 'JWT'})}.{_encoded(claims)}.c2lnbmF0dXJl"


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        asked = {name: values[0] for name, values in form.items()}
        proves = asked.get("client_secret") == SECRET or asked.get("client_assertion") == ASSERTION
        if self.path != f"/{TENANT}/oauth2/v2.0/token" or asked.get("client_id") not in (CLIENT, NOBODY) or not proves:
            self._say(401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret."})
        elif (asked.get("grant_type"), asked.get("scope")) != ("client_credentials", SCOPE):
            self._say(400, {"error": "invalid_request", "error_description": "AADSTS900144: Not for storage."})
        else:
            self.server.given += 1
            self._say(200, {"token_type": "Bearer", "expires_in": 3600, "access_token": token(asked["client_id"])})

    def _say(self, status: int, answer: Mapping[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    given = 0

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients that do not trust the certificate hang up."""


class Entra:
    """The service.

    Args:
        certificate: of HTTPS, and its key.
    """

    def __init__(self, certificate: tuple[Path, Path]) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def given(self) -> int:
        """How many tokens it has given."""
        return self._server.given

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextlib.contextmanager
def running_entra(certificate: tuple[Path, Path]) -> Iterator[Entra]:
    """Yield a running service; end it afterwards."""
    entra = Entra(certificate)
    try:
        entra.start()
        yield entra
    finally:
        entra.stop()
