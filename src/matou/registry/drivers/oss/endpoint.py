"""Where the requests of ``storage.oss`` go.

Source: Distribution 2.8, ``registry/storage/driver/oss``, with its library ``denverdino/aliyungo/oss``. Without
``endpoint`` requests go to ``<bucket>.<region>[-internal].aliyuncs.com``, where the region has its prefix ``oss-``. An
``endpoint`` is the host of the bucket, under its own name or one that is bound to it (CNAME). The host of a region or
an IP address, which Distribution cannot use, is understood here, too.
"""

from __future__ import annotations

import enum
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from matou.config.sections.oss import OssParameters

DOMAIN = ".aliyuncs.com"
PREFIX = "oss-"
INTERNAL = "-internal"


class Style(enum.Enum):
    """Where the bucket stands in a URL."""

    BEFORE_HOST = enum.auto()
    IN_HOST = enum.auto()  # the host is the bucket's
    IN_PATH = enum.auto()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place that takes requests for one bucket.

    Attributes:
        url: scheme and host, with the port if it is given: ``https://oss-cn-hangzhou.aliyuncs.com``.
        style: where the bucket stands.
        region: as signatures name it: ``cn-hangzhou``.
    """

    url: str
    style: Style
    region: str

    @property
    def host(self) -> str:
        """The host, for messages."""
        return urlsplit(self.url).netloc

    @property
    def place(self) -> tuple[str, str]:
        """What two buckets have in common that the service can copy between: the region, or the server by address."""
        return self.region, self.url if self.style is Style.IN_PATH else ""


def endpoint_of(parameters: OssParameters) -> Endpoint:
    """Return the endpoint that a configuration, which was found to be right, describes.

    A scheme of ``endpoint`` wins over ``secure``.
    """
    scheme = "https" if parameters.secure else "http"
    if not parameters.endpoint:
        internal = parameters.internal or parameters.region.endswith(INTERNAL)
        host = f"{PREFIX}{parameters.region_id}{INTERNAL if internal else ''}{DOMAIN}"
        return Endpoint(f"{scheme}://{host}", Style.BEFORE_HOST, parameters.region_id)
    given = parameters.endpoint.rstrip("/")
    url = urlsplit(given if "://" in given else f"{scheme}://{given}")
    return Endpoint(
        f"{url.scheme.lower()}://{url.netloc.lower()}",
        _style(url.hostname or "", parameters.bucket),
        parameters.region_id,
    )


def _style(host: str, bucket: str) -> Style:
    if host == "localhost" or _is_address(host):
        return Style.IN_PATH
    if host.endswith(DOMAIN) and not host.startswith(f"{bucket}."):
        return Style.BEFORE_HOST
    return Style.IN_HOST


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
