"""The reference pages of the registry's API, made from its tables: ``python -m matou.registry.http.reference``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from matou.registry.errors import ERROR_CODES
from matou.registry.http.operations import OPERATIONS
from matou.registry.http.routes import CATALOG, ROUTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matou.registry.http.operations import Operation
    from matou.registry.http.routes import Route

COMMAND = "<!-- Made by: .venv/bin/python -m matou.registry.http.reference docs/reference -->"

ERRORS = f"""\
# Errors of the registry

{COMMAND}

Every refusal has a JSON body of this form, with the type `application/json`:

```json
{{"errors": [{{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown", "detail": {{"name": "a/b", "tag": "v1"}}}}]}}
```

`code` is for programs, `message` for people, and `detail`, which may be missing or of any form, says what was wrong,
what was expected and what to do. Where there are several errors, the status is that of the first. `X-Request-Id` of
every answer is what the registry's log calls the request.

What is no HTTP request at all is refused without a body, and the connection closed: 400; 414 for a URL of more than
64 KiB; 431 for more than 100 headers, or headers of more than 400 KiB.
"""

ENDPOINTS = f"""\
# Endpoints of the registry

{COMMAND}

The registry implements the OCI Distribution Specification 1.1, from which the numbers (`end-1`) are, and Docker's
Registry HTTP API V2. Paths begin with `http.prefix` of the [configuration](../configuration.md) where there is one.
`<name>` may have slashes.

- HEAD is answered as GET is, with the same headers and without the body.
- OPTIONS of every path answers 200 with `Allow`: the methods that the path has under the configuration. It needs a
  valid token, but none that grants anything.
- A method that the path does not have is 405 [UNSUPPORTED](errors.md#unsupported). So are, in maintenance, all that
  write, and deleting manifests, tags and blobs unless `storage.delete.enabled` is `true`.
- Every answer has `Docker-Distribution-Api-Version: registry/2.0`, `X-Request-Id`, and `http.headers` of the
  configuration.
- "Needs" is what a token must grant; see [who may use the registry](../authentication.md). Without it the answer is 401
  [UNAUTHORIZED](errors.md#unauthorized) with `WWW-Authenticate`.
- `Location` is an absolute URL by the request's `Host`, `Forwarded` or `X-Forwarded-*`, or by `http.host`; with
  `http.relativeurls` it is a path.

`GET /` answers 200 with nothing, for load balancers.
"""


def errors_page() -> str:
    """Return the page of the error codes, in Markdown."""
    lines = [ERRORS, "| Code | Status | Meaning |", "|---|---|---|"]
    for row in ERROR_CODES.values():
        statuses = ", ".join(str(status) for status in (row.status, *(status for status, _ in row.further)))
        lines.append(f"| [{row.code}](#{row.code.lower()}) | {statuses} | {row.message} |")
    for row in ERROR_CODES.values():
        lines += ["", f"## {row.code}", "", f"**{row.status}** {row.message}", "", row.meaning, ""]
        lines += [f"- **{status}** when {case}" for status, case in row.further] + ([""] if row.further else [])
        lines.append(f"What to do: {row.remedy}")
    return "\n".join(lines) + "\n"


def endpoints_page() -> str:
    """Return the page of the endpoints, in Markdown."""
    lines = [ENDPOINTS, "| Path | Methods |", "|---|---|"]
    lines += [
        f"| [`{route.template}`](#{route.name.replace('_', '-')}) | {', '.join(sorted(route.methods))} |"
        for route in ROUTES
    ]
    for route in ROUTES:
        lines += ["", f"## {route.name.replace('_', ' ').capitalize()}", "", f"`{route.template}`"]
        for method in route.methods:
            if method != "HEAD":
                lines += _operation(route, method, OPERATIONS[route.name, method])
    return "\n".join(lines) + "\n"


def _operation(route: Route, method: str, operation: Operation) -> Iterator[str]:
    head = " and HEAD" if method == "GET" and "HEAD" in route.methods else ""
    yield from ("", f"### {method}{head}: {operation.title}", "")
    if operation.text:
        yield from (operation.text, "")
    yield from (f"Needs {_needs(route, method)}. Specification: {operation.specification}.", "")
    if operation.parameters:
        yield from ("| Parameter | Meaning |", "|---|---|")
        yield from (f"| {name} | {meaning} |" for name, meaning in operation.parameters)
        yield ""
    yield from ("| Answer | When |", "|---|---|")
    yield from (f"| {status} | {meaning} |" for status, meaning in operation.answers)
    for code in operation.errors:
        statuses = " or ".join(str(status) for status in (ERROR_CODES[code].status, *_further(code, operation)))
        yield f"| {statuses} | [{code}](errors.md#{code.lower()}) |"


def _further(code: str, operation: Operation) -> list[int]:
    return [status for status, _ in ERROR_CODES[code].further if status in operation.further]


def _needs(route: Route, method: str) -> str:
    actions = route.methods[method]
    if not actions:
        return "a valid token"
    if route is CATALOG:
        return "`registry:catalog:*`"
    return f"`repository:<name>:{','.join(actions)}`"


PAGES = {"errors.md": errors_page, "endpoints.md": endpoints_page}


def main(arguments: list[str]) -> int:
    """Write the pages into a directory."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m matou.registry.http.reference DIRECTORY\n")
        return 2
    for name, page in PAGES.items():
        Path(arguments[0], name).write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
