"""``storage``: exactly one driver, and what holds for all of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matou.config.kinds import Boolean, Duration, Integer, Text
from matou.config.schema import NoEffect, Settings, optional, section, setting, settings_of
from matou.config.sections.azure import AzureParameters
from matou.config.sections.drivers import (
    FilesystemParameters,
    GcsParameters,
    InMemoryParameters,
)
from matou.config.sections.oss import OssParameters
from matou.config.sections.s3 import S3Parameters
from matou.config.sections.swift import SwiftParameters
from matou.config.yaml_lines import Mapping, Scalar

if TYPE_CHECKING:
    from matou.config.kinds import Place

HOUR = 3600.0
REDIRECT_LIFETIME = 1200.0  # seconds
LONGEST_REDIRECT = 168 * HOUR
CACHES = ("inmemory", "redis")
LOCAL_DRIVERS = ("filesystem", "inmemory")
NO_DRIVERS = frozenset(("maintenance", "cache", "delete", "redirect", "tag"))
LOOKED_UP = NoEffect("blobs, manifests and tags are looked up in the index, which is in memory as far as it is used")


@dataclass(frozen=True, slots=True)
class UploadPurging(Settings):
    """``storage.maintenance.uploadpurging``."""

    enabled: bool = setting(Boolean(), default=True, doc="`false`: uploads that were given up stay for ever")
    age: float = setting(Duration(bare=False), 168 * HOUR, "since an upload began; then it is given up")
    interval: float = setting(Duration(bare=False), 24 * HOUR, "between two runs")
    dryrun: bool = setting(Boolean(), default=False, doc="`true`: only log what would be deleted")

    def verify(self, node: Mapping, place: Place) -> UploadPurging:
        """Ask for ``age`` and ``interval`` where Distribution does, and for an interval that ends."""
        if self.enabled and node.entries:
            for key in ("age", "interval"):
                if key not in node.entries:
                    place.child(key).error(node.origin, "is missing; expected a duration such as 168h")
        if self.interval <= 0:
            place.child("interval").error(node.origin, "is 0; expected a duration such as 24h")
        return self


@dataclass(frozen=True, slots=True)
class ReadOnly(Settings):
    """``storage.maintenance.readonly``."""

    enabled: bool = setting(Boolean(), default=False, doc="`true`: pulls only; pushes and deletes are refused")


@dataclass(frozen=True, slots=True)
class Maintenance(Settings):
    """``storage.maintenance``."""

    uploadpurging: UploadPurging = section(UploadPurging, "deletes uploads that were given up")
    readonly: ReadOnly = section(ReadOnly, "while data is copied or collected")


@dataclass(frozen=True, slots=True)
class Delete(Settings):
    """``storage.delete``."""

    enabled: bool = setting(Boolean(), default=False, doc="`true`: manifests, tags and blobs may be deleted")


@dataclass(frozen=True, slots=True)
class Redirect(Settings):
    """``storage.redirect``."""

    disable: bool = setting(
        Boolean(), default=False, doc="`true`: blobs come through Matou, never straight from object storage"
    )
    expirydelay: float = setting(
        Duration(), REDIRECT_LIFETIME, "how long the URL is good by which a client gets a blob (GitLab); 0: 20m"
    )

    def verify(self, node: Mapping, place: Place) -> Redirect:
        """Keep the lifetime within what S3, GCS and OSS sign."""
        if self.expirydelay > LONGEST_REDIRECT:
            place.child("expirydelay").warn(
                node.entries["expirydelay"].origin,
                "is longer than 168h, which is the most that signed URLs of object storage are good for; 168h is used",
            )
        return dataclasses.replace(self, expirydelay=min(self.expirydelay or REDIRECT_LIFETIME, LONGEST_REDIRECT))


@dataclass(frozen=True, slots=True)
class Cache(Settings):
    """``storage.cache``."""

    blobdescriptor: str = setting(
        Text(), "", "where it is remembered which blobs object storage has: `inmemory`, `redis`, or nothing for nowhere"
    )
    layerinfo: str = setting(Text(), "", "old name of `blobdescriptor`")
    blobdescriptorsize: int = setting(Integer(0), 10_000, "entries of the cache `inmemory` of a worker; 0: no limit")

    @property
    def kind(self) -> str:
        """Which cache there is: ``inmemory``, ``redis``, or "" for none."""
        name = self.blobdescriptor or self.layerinfo
        return name if name in CACHES else ""

    def verify(self, node: Mapping, place: Place) -> Cache:
        """Warn of caches that do not exist, as Distribution does."""
        for key in ("blobdescriptor", "layerinfo"):
            name = getattr(self, key)
            if name and name not in CACHES:
                place.child(key).warn(
                    node.entries[key].origin, f"is {name!r}, which is ignored; expected inmemory, redis or nothing"
                )
        return self


@dataclass(frozen=True, slots=True)
class TagLookup(Settings):
    """``storage.tag``."""

    concurrencylimit: int = setting(Integer(0), 0, "tags looked up at a time", status=LOOKED_UP)


@dataclass(frozen=True, slots=True)
class Storage(Settings):
    """``storage``.

    Attributes:
        driver: name of the one driver that is configured.
    """

    driver: str = ""
    filesystem: FilesystemParameters = section(FilesystemParameters, "driver: a directory")
    inmemory: InMemoryParameters = section(InMemoryParameters, "driver: gone when the registry stops; for tests")
    s3: S3Parameters | None = optional(S3Parameters, "driver: Amazon S3 and what is compatible")
    s3_v2: S3Parameters | None = optional(S3Parameters, "driver: another name of `s3` (GitLab)")
    s3aws: S3Parameters | None = optional(S3Parameters, "driver: another name of `s3` (Distribution)")
    gcs: GcsParameters | None = optional(GcsParameters, "driver: Google Cloud Storage")
    azure: AzureParameters | None = optional(AzureParameters, "driver: Azure Blob Storage")
    azure_v2: AzureParameters | None = optional(AzureParameters, "driver: another name of `azure` (GitLab)")
    swift: SwiftParameters | None = optional(SwiftParameters, "driver: OpenStack Swift")
    oss: OssParameters | None = optional(OssParameters, "driver: Alibaba Cloud OSS")
    delete: Delete = section(Delete, "of images")
    maintenance: Maintenance = section(Maintenance, "of the storage")
    redirect: Redirect = section(Redirect, "of pulls to the storage")
    cache: Cache = section(Cache, "of what is known about blobs")
    tag: TagLookup = section(TagLookup, "how tags are looked up")

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells the storage from others: driver, bucket or directory, and further places; nothing secret."""
        parameters = getattr(self, self.driver)
        return self.driver.removesuffix("_v2").removesuffix("aws"), *getattr(parameters, "identity", ())

    @property
    def s3_parameters(self) -> S3Parameters | None:
        """Those of S3, under either name; None when another driver is configured."""
        return {"s3": self.s3, "s3_v2": self.s3_v2, "s3aws": self.s3aws}.get(self.driver)

    @property
    def azure_parameters(self) -> AzureParameters | None:
        """Those of Azure, under either name; None when another driver is configured."""
        return {"azure": self.azure, "azure_v2": self.azure_v2}.get(self.driver)

    def verify(self, node: Mapping, place: Place) -> Storage:
        """Find the driver."""
        drivers = [known.key for known in settings_of(Storage) if known.key not in NO_DRIVERS]
        given = [key for key in node.entries if key not in NO_DRIVERS]
        if not given:
            place.error(node.origin, f"has no driver: no storage configuration provided; expected {', '.join(drivers)}")
        elif len(given) > 1:
            where = ", ".join(f"{key} ({node.key_origins[key]})" for key in given)
            place.error(node.origin, f"must provide exactly one storage type; found {where}; keep one of them")
        elif given[0] not in drivers:
            place.error(
                node.key_origins[given[0]],
                f"names the driver {given[0]!r}, which does not exist; expected one of {', '.join(drivers)}",
            )
        else:
            _refuse_empty(given[0], getattr(self, given[0]), node, place)
            return dataclasses.replace(self, driver=given[0])
        return self


def _refuse_empty(driver: str, parameters: Settings, node: Mapping, place: Place) -> None:
    """Refuse an empty text where a driver needs one, as the drivers of Distribution do."""
    section_node = node.entries[driver]
    if not isinstance(section_node, Mapping):
        return
    for each in settings_of(type(parameters)):
        found = section_node.entries.get(each.key)
        if each.required and isinstance(found, Scalar) and found.tag != "null" and not found.text.strip():
            place.child(driver).child(each.key).error(found.origin, f"is empty; expected {each.kind.expected}")
