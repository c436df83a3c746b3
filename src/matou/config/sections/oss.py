"""``storage.oss``: Alibaba Cloud OSS.

Source: Distribution 2.8's driver and its documentation; names of buckets, regions and endpoints in OSS's user guide.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from matou.config.kinds import Boolean, Integer, Text
from matou.config.schema import Settings, setting
from matou.config.yaml_lines import Scalar

if TYPE_CHECKING:
    from matou.config.kinds import Place
    from matou.config.yaml_lines import Mapping as MappingNode

MIB = 1 << 20
REGION = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class OssParameters(Settings):
    """``storage.oss`` (Distribution 2.8)."""

    accesskeyid: str = setting(Text(), "", "key id; unless given the environment's or the machine's role", secret=True)
    accesskeysecret: str = setting(Text(), "", "its secret", secret=True)
    region: str = setting(Text(), "", "region of the bucket: `oss-cn-hangzhou` or `cn-hangzhou`", required=True)
    bucket: str = setting(Text(), "", "its name", required=True)
    internal: bool = setting(Boolean(), default=False, doc="endpoint inside the provider's network")
    encrypt: bool = setting(Boolean(), default=False, doc="encrypt objects in the bucket")
    encryptionkeyid: str = setting(Text(), "", "KMS key of the encryption; unless given keys of OSS")
    secure: bool = setting(Boolean(), default=True, doc="HTTPS to the service")
    endpoint: str = setting(Text(), "", "host or URL of the bucket, if not the region's")
    chunksize: int = setting(Integer(5 * MIB), 10 * MIB, "bytes of a part of an upload")
    rootdirectory: str = setting(Text(), "", "prefix of all names")

    def verify(self, node: MappingNode, place: Place) -> OssParameters:
        """Refuse what the service would refuse; write the bucket in small letters, as Distribution does."""
        for key, problem in (
            ("region", _region_problem(self.region)),
            ("bucket", _bucket_problem(self.bucket.lower())),
            ("endpoint", _endpoint_problem(self.endpoint)),
        ):
            if problem is not None and getattr(self, key):
                place.child(key).error(node.key_origins[key], problem)
        if bool(self.accesskeyid) != bool(self.accesskeysecret):
            missing = "accesskeysecret" if self.accesskeyid else "accesskeyid"
            if isinstance(node.entries.get(missing), Scalar | None):  # else it was found to be no text already
                place.child(missing).error(
                    node.origin, "is missing; expected accesskeyid and accesskeysecret, or neither"
                )
        if self.encryptionkeyid and not self.encrypt:
            place.child("encryptionkeyid").warn(
                node.key_origins["encryptionkeyid"], "has no effect unless encrypt is true"
            )
        return dataclasses.replace(self, bucket=self.bucket.lower())

    @property
    def region_id(self) -> str:
        """The region as signatures name it: ``cn-hangzhou``."""
        return self.region.removeprefix("oss-").removesuffix("-internal")

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells this storage from others; the bucket comes first."""
        return self.bucket, self.endpoint or self.region, self.rootdirectory.strip("/")


def _region_problem(region: str) -> str | None:
    """Say what is wrong with a region of OSS."""
    if "accelerate" in region:
        return (
            f"is {region!r}, which is no region: name the bucket's, and set endpoint to "
            f"{region.removesuffix('.aliyuncs.com')}.aliyuncs.com"
        )
    if REGION.fullmatch(region) is None:
        return f"is {region!r}; expected a region such as oss-cn-hangzhou or cn-hangzhou"
    return None


def _bucket_problem(bucket: str) -> str | None:
    """Say what is wrong with a bucket's name."""
    if "/" in bucket:
        return f"is {bucket!r}; expected a bucket alone: a directory in it is rootdirectory"
    if BUCKET.fullmatch(bucket) is None:
        return f"is {bucket!r}; expected 3 to 63 small letters, digits and hyphens, with no hyphen at either end"
    return None


def _endpoint_problem(endpoint: str) -> str | None:
    """Say what is wrong with an endpoint."""
    if not endpoint:
        return None
    expected = "expected a host such as my-bucket.oss-cn-hangzhou.aliyuncs.com, or http:// or https:// and a host"
    try:
        url = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        is_good = bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        return f"is {endpoint!r}; {expected}"
    if url.scheme not in ("http", "https") or not is_good or "@" in url.netloc or url.query or url.fragment:
        return f"is {endpoint!r}; {expected}"
    if url.path.strip("/"):
        return f"is {endpoint!r}; {expected}: a directory in the bucket is rootdirectory"
    return None
