"""Parameters of the s3 driver.

Source: Distribution 2.8 and 3 (registry/storage/driver/s3-aws) and their documentation; GitLab's fork with its drivers
``s3`` and ``s3_v2``.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from matou.config.kinds import Boolean, Choice, Integer, Text
from matou.config.schema import NoEffect, Settings, setting

if TYPE_CHECKING:
    from matou.config.kinds import Place
    from matou.config.yaml_lines import Mapping as MappingNode

MIB = 1 << 20
GIB = 1 << 30
# Amazon's partitions: aws, cn, us-gov, the isolated ones and the European sovereign cloud.
AMAZON_REGION = re.compile(r"[a-z]{2,5}(-[a-z]+){1,3}-[0-9]+", re.ASCII)
BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}", re.ASCII)  # of old buckets and of other services, too
STORAGE_CLASSES = (
    "NONE",
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "OUTPOSTS",
    "GLACIER_IR",
    "EXPRESS_ONEZONE",
)
ACCESS_LISTS = (
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
)
LOG_LEVELS = (
    "off",
    "debug",
    "debugwithsigning",
    "debugwithhttpbody",
    "debugwithrequestretries",
    "debugwithrequesterrors",
    "debugwitheventstreambody",
)
GITLABS_LOG_LEVELS = (
    "signing",
    "retries",
    "request",
    "requestwithbody",
    "response",
    "responsewithbody",
    "deprecatedusage",
    "requesteventmessage",
    "responseeventmessage",
)
CHECKSUMS = ("", "crc32", "crc32c", "crc64nvme", "sha1", "sha256")


def _check_bucket(text: str) -> None:
    if text.startswith("arn:"):  # of an access point
        return
    if "://" in text:
        raise ValueError("not a URL; an endpoint goes to regionendpoint")
    if "/" in text:
        raise ValueError("a bucket has no subdirectories; put what follows the first / into rootdirectory")
    if text.strip() and BUCKET.fullmatch(text) is None:
        raise ValueError("up to 255 letters, digits, dots, hyphens and underscores")


def _check_endpoint(text: str) -> None:
    parts = urlsplit(text if "://" in text else f"https://{text}")
    if parts.scheme not in ("http", "https"):
        raise ValueError("with http:// or https://")
    if not parts.hostname:
        raise ValueError("it names no host")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("without user, query or fragment")
    _ = parts.port  # raises where it is no number


def _check_redirect(text: str) -> None:
    if "://" not in text:
        raise ValueError("with http:// or https://")
    _check_endpoint(text)
    if urlsplit(text).path not in ("", "/"):
        raise ValueError("without a path: signed URLs have the bucket or the key there")


def _check_class(text: str) -> None:
    if text.upper() not in STORAGE_CLASSES:
        raise ValueError


def _check_levels(text: str) -> None:
    for word in text.lower().split(","):
        level = word.strip().removeprefix("log")
        if level not in LOG_LEVELS and level not in GITLABS_LOG_LEVELS:
            raise ValueError(f"{word.strip()!r} is none of them")


@dataclass(frozen=True, slots=True)
class S3Parameters(Settings):
    """``storage.s3``, and the same under its other names.

    Attributes:
        has_path_style: whether the bucket is in the path of URLs, not in the host name.
        section: its name in the configuration, for messages.
    """

    accesskey: str = setting(Text(), "", "key id; absent: from the environment, a profile or a role", secret=True)
    secretkey: str = setting(Text(), "", "secret of the key", secret=True)
    sessiontoken: str = setting(Text(), "", "token of a temporary key", secret=True)
    region: str = setting(Text(), "", "region of the bucket", required=True)
    regionendpoint: str = setting(
        Text(_check_endpoint, "the URL of a service"), "", "URL of a compatible service, or of a VPC endpoint"
    )
    redirectendpoint: str = setting(
        Text(_check_redirect, "a URL"), "", "URL that clients are sent to, where it differs (Distribution 3)"
    )
    forcepathstyle: bool = setting(
        Boolean(),
        default=False,
        doc="bucket in the path, not in the host name; unless given: if there is a `regionendpoint`",
    )
    pathstyle: bool = setting(Boolean(), default=False, doc="GitLab's name of `forcepathstyle`")
    virtualhostedstyle: bool = setting(Boolean(), default=False, doc="opposite of `forcepathstyle`")
    bucket: str = setting(
        Text(_check_bucket, "the name of a bucket"), "", "its name, or the ARN of an access point", required=True
    )
    encrypt: bool = setting(Boolean(), default=False, doc="encrypt at the service: SSE-S3, or SSE-KMS with `keyid`")
    keyid: str = setting(Text(), "", "KMS key, for `encrypt`")
    secure: bool = setting(Boolean(), default=True, doc="HTTPS, where `regionendpoint` does not say")
    skipverify: bool = setting(Boolean(), default=False, doc="don't check the service's certificate")
    v4auth: bool = setting(Boolean(), default=True, doc="`false`, signatures of version 2, is refused")
    chunksize: int = setting(Integer(5 * MIB, 5 * GIB), 10 * MIB, "bytes of a part of an upload; a few are in memory")
    multipartcopychunksize: int = setting(Integer(5 * MIB, 5 * GIB), 32 * MIB, "bytes of a part of a copy")
    multipartcopymaxconcurrency: int = setting(Integer(1), 100, "parts copied at a time; a worker copies at most 64")
    multipartcopythresholdsize: int = setting(Integer(0, 5 * GIB), 32 * MIB, "bytes above which a copy has parts")
    rootdirectory: str = setting(Text(), "", "prefix of all keys")
    storageclass: str = setting(
        Text(_check_class, f"one of {', '.join(STORAGE_CLASSES)}"), "STANDARD", "of new objects; `NONE` sends none"
    )
    objectacl: str = setting(Choice(ACCESS_LISTS), "private", "canned access list of new objects")
    objectownership: bool = setting(
        Boolean(), default=False, doc="the bucket's owner has its objects: send no access lists (GitLab)"
    )
    useragent: str = setting(Text(), "", "User-Agent of requests")
    usedualstack: bool = setting(Boolean(), default=False, doc="Amazon's endpoints with IPv6")
    usefipsendpoint: bool = setting(Boolean(), default=False, doc="Amazon's FIPS endpoints")
    accelerate: bool = setting(Boolean(), default=False, doc="Amazon's transfer acceleration")
    loglevel: str = setting(
        Text(_check_levels, f"some of {', '.join(LOG_LEVELS)}, separated by commas"), "off", "which requests are logged"
    )
    parallelwalk: bool = setting(Boolean(), default=False, doc="list large trees in parallel (GitLab)")
    maxrequestspersecond: int = setting(Integer(0), 350, "of all workers of a machine; 0: no limit (GitLab)")
    maxretries: int = setting(Integer(0), 10, "of a request (GitLab)")
    retryquota: int = setting(
        Integer(0),
        0,
        "of Amazon's library (Distribution 3)",
        status=NoEffect("each request has its `maxretries`, with growing pauses"),
    )
    checksum_disabled: bool = setting(Boolean(), default=False, doc="Content-MD5 in place of checksums (GitLab)")
    checksum_algorithm: str = setting(
        Choice(CHECKSUMS, fold=True), "", "of what is sent; `crc32c` and `crc64nvme` mean `crc32` (GitLab)"
    )
    requestchecksumcalculation: str = setting(
        Choice(("", "when_required", "when_supported"), fold=True),
        "",
        "`when_required` is `checksum_disabled` (Distribution 3)",
    )
    has_path_style: bool = False
    section: str = "storage.s3"

    def verify(self, node: MappingNode, place: Place) -> S3Parameters:
        """Check what concerns several keys, and settle where the bucket's name goes in URLs.

        Unless told otherwise it is in the host name at Amazon, and in the path at other services, as in Distribution
        2.8 and in GitLab's fork.
        """
        path_style = bool(self.regionendpoint)
        for key, means_path in (("virtualhostedstyle", False), ("forcepathstyle", True), ("pathstyle", True)):
            if key in node.entries:
                path_style = getattr(self, key) == means_path
        self._verify_keys(node, place)
        self._verify_endpoint(node, place, path_style=path_style)
        if self.objectownership and "objectacl" in node.entries:
            place.child("objectacl").error(
                node.key_origins["objectacl"],
                "is given, but with objectownership no access lists are sent; remove one of them",
            )
        if self.keyid and not self.encrypt:
            place.child("keyid").warn(node.key_origins["keyid"], "has no effect without encrypt: true")
        if self.checksum_disabled and self.checksum_algorithm:
            place.child("checksum_algorithm").warn(
                node.key_origins["checksum_algorithm"], "has no effect with checksum_disabled"
            )
        return dataclasses.replace(self, has_path_style=path_style, section=place.key)

    def _verify_keys(self, node: MappingNode, place: Place) -> None:
        if bool(self.accesskey) != bool(self.secretkey):
            given, missing = ("accesskey", "secretkey") if self.accesskey else ("secretkey", "accesskey")
            place.child(missing).error(
                node.key_origins[given], f"is missing, but {given} is there; give both, or neither to use a role"
            )
        if self.sessiontoken and not self.accesskey:
            place.child("sessiontoken").error(
                node.key_origins["sessiontoken"], "belongs to a key; give accesskey and secretkey, too"
            )

    def _verify_endpoint(self, node: MappingNode, place: Place, *, path_style: bool) -> None:
        if self.regionendpoint:
            for key in ("usedualstack", "usefipsendpoint", "accelerate"):
                if getattr(self, key):
                    place.child(key).warn(
                        node.key_origins[key], "has no effect beside regionendpoint, which names the service"
                    )
        elif self.region and AMAZON_REGION.fullmatch(self.region) is None:
            place.child("region").error(
                node.key_origins["region"],
                f"is {self.region!r}, which is no region of Amazon; expected a region such as eu-central-1, or the "
                "service's regionendpoint",
            )
        elif self.accelerate and (path_style or "." in self.bucket):
            place.child("accelerate").error(
                node.key_origins["accelerate"],
                "needs the bucket in the host name, without dots; remove forcepathstyle, or accelerate",
            )
        if not self.v4auth:
            place.child("v4auth").error(
                node.key_origins["v4auth"],
                "is false: signatures of version 2 are not supported, as in Distribution 3; remove it, as "
                "compatible services take version 4, too",
            )

    @property
    def checksum(self) -> str:
        """Algorithm of the checksums of what is sent; ``md5`` stands for Content-MD5.

        ``crc32c`` and ``crc64nvme`` need a library that is not there; the service checks ``crc32`` as well.
        """
        if self.checksum_disabled or self.requestchecksumcalculation == "when_required":
            return "md5"
        return self.checksum_algorithm if self.checksum_algorithm in ("sha1", "sha256") else "crc32"

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells this storage from others; the bucket comes first."""
        return self.bucket, self.regionendpoint, self.rootdirectory.strip("/")
