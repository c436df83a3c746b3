"""Parameters of the storage drivers in ``storage``.

Source: Distribution's and GitLab's documentation of the drivers; Distribution 2.8 for swift and oss.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from matou.config.containers import Anything, MapOf
from matou.config.kinds import Boolean, Integer, Text
from matou.config.schema import Settings, setting
from matou.config.yaml_lines import Scalar

if TYPE_CHECKING:
    from matou.config.kinds import Place
    from matou.config.yaml_lines import Mapping as MappingNode

MIB = 1 << 20
GCS_UNIT = 256 * 1024
LEAST_THREADS = 25
OSS_REGION = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
OSS_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class FilesystemParameters(Settings):
    """``storage.filesystem``."""

    rootdirectory: str = setting(Text(), "/var/lib/registry", "directory of the tree; `docker/` is below it")
    maxthreads: int = setting(Integer(0), 100, "most system calls at a time a worker; less than 25 counts as 25")

    def verify(self, node: MappingNode, place: Place) -> FilesystemParameters:  # noqa: ARG002 -- nothing can be wrong
        """Raise what is too little, as Distribution does."""
        return dataclasses.replace(self, maxthreads=max(LEAST_THREADS, self.maxthreads))

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells this storage from others."""
        return (self.rootdirectory,)


@dataclass(frozen=True, slots=True)
class InMemoryParameters(Settings):
    """``storage.inmemory``, which takes no parameters."""


@dataclass(frozen=True, slots=True)
class GcsParameters(Settings):
    """``storage.gcs``."""

    bucket: str = setting(Text(), "", "its name", required=True)
    keyfile: str = setting(Text(), "", "JSON key file of the service account")
    credentials: Mapping[str, Any] = setting(MapOf(Anything()), {}, "content of the key file", secret=True)
    rootdirectory: str = setting(Text(), "", "prefix of all names")
    chunksize: int = setting(Integer(GCS_UNIT), 5 * MIB, "bytes of a part of an upload; a multiple of 256 KiB")
    maxconcurrency: int = setting(Integer(1), 50, "requests at a time")
    useragent: str = setting(Text(), "", "User-Agent of requests (GitLab)")
    parallelwalk: bool = setting(Boolean(), default=False, doc="list in parallel (GitLab)")
    debug_log: bool = setting(Boolean(), default=False, doc="log what the client library does (GitLab)")

    def verify(self, node: MappingNode, place: Place) -> GcsParameters:
        """Check the size of parts, which the service restricts."""
        if self.chunksize % GCS_UNIT:
            place.child("chunksize").error(
                node.key_origins["chunksize"], f"is {self.chunksize}; expected a multiple of {GCS_UNIT} (256 KiB)"
            )
        return self

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells this storage from others; the bucket comes first."""
        return self.bucket, self.rootdirectory.strip("/")


@dataclass(frozen=True, slots=True)
class SwiftParameters(Settings):
    """``storage.swift`` (Distribution 2.8)."""

    username: str = setting(Text(), "", "account", required=True)
    password: str = setting(Text(), "", "its password", required=True, secret=True)
    authurl: str = setting(Text(), "", "URL of the identity service", required=True)
    container: str = setting(Text(), "", "its name; made when missing", required=True)
    tenant: str = setting(Text(), "", "project by name")
    tenantid: str = setting(Text(), "", "project by id")
    tenantdomain: str = setting(Text(), "", "domain of the project by name")
    tenantdomainid: str = setting(Text(), "", "domain of the project by id")
    domain: str = setting(Text(), "", "domain of the account by name")
    domainid: str = setting(Text(), "", "domain of the account by id")
    trustid: str = setting(Text(), "", "trust that is used")
    region: str = setting(Text(), "", "region of the container")
    authversion: int = setting(Integer(0, 3), 0, "version of the identity service; 0: by its URL")
    prefix: str = setting(Text(), "", "prefix of all names")
    rootdirectory: str = setting(Text(), "", "another name of `prefix`")
    endpointtype: str = setting(Text(), "public", "which endpoint of the catalogue")
    insecureskipverify: bool = setting(Boolean(), default=False, doc="don't check certificates")
    chunksize: int = setting(Integer(MIB), 20 * MIB, "bytes of a segment")
    secretkey: str = setting(Text(), "", "signs temporary URLs", secret=True)
    accesskey: str = setting(Text(), "", "of temporary URLs", secret=True)
    tempurlcontainerkey: bool = setting(Boolean(), default=False, doc="the secret key is the container's")
    tempurlmethods: Any = setting(Anything(), None, "methods that temporary URLs allow")

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells this storage from others; the container comes first."""
        root = (self.prefix or self.rootdirectory).strip("/")
        return self.container, self.authurl, self.tenant or self.tenantid or self.username, self.region, root


@dataclass(frozen=True, slots=True)
class OssParameters(Settings):
    """``storage.oss`` (Distribution 2.8)."""

    accesskeyid: str = setting(Text(), "", "key id; unless given `OSS_ACCESS_KEY_ID` of the environment", secret=True)
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
            ("region", oss_region_problem(self.region)),
            ("bucket", oss_bucket_problem(self.bucket.lower())),
            ("endpoint", oss_endpoint_problem(self.endpoint)),
        ):
            if problem is not None and key in node.entries:
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


def oss_region_problem(region: str) -> str | None:
    """Say what is wrong with a region of OSS."""
    if "accelerate" in region:
        return (
            f"is {region!r}, which is no region: name the bucket's, and set endpoint to "
            f"{region.removesuffix('.aliyuncs.com')}.aliyuncs.com"
        )
    if OSS_REGION.fullmatch(region) is None:
        return f"is {region!r}; expected a region such as oss-cn-hangzhou or cn-hangzhou"
    return None


def oss_bucket_problem(bucket: str) -> str | None:
    """Say what is wrong with a bucket's name."""
    if "/" in bucket:
        return f"is {bucket!r}; expected a bucket alone: a directory in it is rootdirectory"
    if OSS_BUCKET.fullmatch(bucket) is None:
        return f"is {bucket!r}; expected 3 to 63 small letters, digits and hyphens, with no hyphen at either end"
    return None


def oss_endpoint_problem(endpoint: str) -> str | None:
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
