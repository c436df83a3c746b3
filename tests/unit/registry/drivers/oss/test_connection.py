from __future__ import annotations

import pytest

from matou.config.sections.oss import OssParameters
from matou.registry.drivers.oss.connection import proxy_of
from matou.registry.drivers.oss.endpoint import endpoint_of


@pytest.mark.parametrize(
    ("environ", "endpoint", "proxy"),
    [
        ({}, "", None),
        ({"https_proxy": "http://proxy:3128"}, "", "http://proxy:3128"),
        ({"https_proxy": "proxy:3128"}, "", "http://proxy:3128"),
        ({"http_proxy": "http://proxy:3128"}, "", None),
        ({"http_proxy": "http://proxy:3128"}, "http://blobs.example.com", "http://proxy:3128"),
        ({"https_proxy": "http://proxy:3128", "no_proxy": ".aliyuncs.com"}, "", None),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "images.oss-cn-hangzhou.aliyuncs.com"}, "", None),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "127.0.0.1"}, "https://127.0.0.1:9000", None),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "*"}, "", None),
    ],
)
def test_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], endpoint: str, proxy: str | None
) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    given = OssParameters(region="cn-hangzhou", bucket="images", endpoint=endpoint)
    assert proxy_of(endpoint_of(given), given.bucket) == proxy
