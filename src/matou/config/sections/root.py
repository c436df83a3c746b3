"""The whole of config.yml."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matou.config.kinds import Choice
from matou.config.schema import Checked, Settings, optional, section, setting
from matou.config.sections.auth import Auth
from matou.config.sections.database import GC_STATUS, Database, Gc, RateLimiter
from matou.config.sections.health import Health
from matou.config.sections.http import Http
from matou.config.sections.log import LEVELS, Log
from matou.config.sections.middleware import Middleware
from matou.config.sections.notifications import Notifications
from matou.config.sections.proxy import Proxy
from matou.config.sections.redis import Redis
from matou.config.sections.reporting import Profiling, Reporting
from matou.config.sections.storage import LOCAL_DRIVERS, Storage
from matou.config.sections.validation import Catalog, Compatibility, Policy, Tags, Validation
from matou.config.yaml_lines import is_null

if TYPE_CHECKING:
    from matou.config.findings import Finding
    from matou.config.kinds import Place
    from matou.config.yaml_lines import Mapping

VERSION = "0.1"


@dataclass(frozen=True, slots=True)
class Configuration(Settings):
    """A registry's configuration; picklable, because workers get it.

    Attributes:
        warnings: what the reader of the file should know.
    """

    version: str = setting(Choice((VERSION,)), VERSION, "of the configuration's form", required=True)
    log: Log = section(Log, "messages")
    loglevel: str = setting(LEVELS, "", "old name of `log.level`, which wins")
    storage: Storage = section(Storage, "where data lies; exactly one driver", free=True)
    auth: Auth | None = optional(Auth, "who gets in; everybody without it", free=True)
    middleware: Middleware = section(Middleware, "additions to the registry")
    http: Http = section(Http, "the server")
    notifications: Notifications = section(Notifications, "events to web hooks")
    redis: Redis = section(Redis, "a cache server, for `storage.cache.blobdescriptor: redis`")
    health: Health = section(Health, "checks")
    catalog: Catalog = section(Catalog, "the list of repositories")
    tags: Tags = section(Tags, "the lists of tags")
    proxy: Proxy = section(Proxy, "a mirror of another registry")
    compatibility: Compatibility = section(Compatibility, "with what is old")
    validation: Validation = section(Validation, "of what is pushed")
    policy: Policy = section(Policy, "of what is pushed")
    reporting: Reporting = section(Reporting, "of errors to services")
    profiling: Profiling = section(
        Profiling, "of the program (GitLab)", status=Checked("profiling.stackdriver.enabled")
    )
    database: Database = section(Database, "metadata (GitLab)", status=Checked("database.enabled"))
    gc: Gc = section(Gc, "online garbage collection (GitLab)", status=GC_STATUS)
    rate_limiter: RateLimiter = section(
        RateLimiter, "limits of requests (GitLab)", status=Checked("rate_limiter.enabled")
    )
    warnings: tuple[Finding, ...] = ()

    def verify(self, node: Mapping, place: Place) -> Configuration:
        """Ask for a storage, and settle the level of the log."""
        if "storage" not in node.entries or is_null(node.entries["storage"]):
            place.error(node.origin, "has no storage configuration; expected storage: with one driver below it")
        self._check_cache(node, place)
        level = self.log.level or self.loglevel or "info"
        return dataclasses.replace(self, log=dataclasses.replace(self.log, level=level))

    def _check_cache(self, node: Mapping, place: Place) -> None:
        """Ask for a server where the cache needs one, and say so where there is one that nothing uses."""
        is_wanted = self.storage.cache.kind == "redis"
        has_server = bool(self.redis.addr or self.redis.addrs or (self.redis.cache.enabled and self.redis.cache.addr))
        if is_wanted and not has_server:
            place.child("redis").error(
                node.entries["storage"].origin,
                "names no server, and storage.cache.blobdescriptor is redis; expected redis.addr, redis.addrs or, "
                "enabled, redis.cache.addr",
            )
        elif is_wanted and self.storage.driver in LOCAL_DRIVERS:
            place.child("storage.cache.blobdescriptor").warn(
                node.entries["storage"].origin,
                f"is redis, which is not used: {self.storage.driver} says at once what it has",
            )
        elif has_server and not is_wanted:
            place.child("redis").warn(
                node.key_origins["redis"], "is used by nothing: storage.cache.blobdescriptor is not redis"
            )
