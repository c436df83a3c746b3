"""Errors as OSS answers them.

Source: OSS API reference, "Error responses": XML in the body; for HEAD in the header ``x-oss-err``, in Base64.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST_ID = "5C3D9175B6FC201293AD0001"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


class OssError(Exception):
    """A request that is refused.

    Args:
        status: of HTTP.
        code: such as ``NoSuchKey``.
        message: of the service.
        fields: further elements of the answer.
    """

    def __init__(self, status: int, code: str, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields or {}

    def answer(self, method: str) -> web.Response:
        """Return the answer to a request with a method."""
        elements = {
            "Code": self.code,
            "Message": self.message,
            "RequestId": REQUEST_ID,
            "HostId": "127.0.0.1",
            **self.fields,
        }
        text = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in elements.items())
        body = f"{DECLARATION}<Error>{text}</Error>".encode()
        headers = {"x-oss-request-id": REQUEST_ID}
        if method == "HEAD":
            return web.Response(status=self.status, headers={**headers, "x-oss-err": base64.b64encode(body).decode()})
        return web.Response(status=self.status, body=body, content_type="application/xml", headers=headers)
