"""``storage.azure``: Azure Blob Storage.

Source: Distribution's documentation of the driver (2.8 and 3), GitLab's of its two.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from matou.config.kinds import Boolean, Choice, Duration, Integer, Text
from matou.config.schema import NoEffect, Settings, section, setting

if TYPE_CHECKING:
    from matou.config.kinds import Place
    from matou.config.yaml_lines import Mapping as MappingNode

CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}|\$root")
ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
DEBUG_EVENTS = ("request", "response", "responseerror", "retry", "longrunningoperation")
EVENT_ALIASES = {"retrypolicy": "retry", "lro": "longrunningoperation"}
SECRET_PARTS = ("tenantid", "clientid", "secret")
WAITING = "copies are waited for as long as they make progress, as api_pool_... say"
WAYS = Choice(("shared_key", "client_secret", "default_credentials"), aliases=(("default", "default_credentials"),))


def parse_connection_string(text: str) -> dict[str, str]:
    """Return the parts of a connection string, their names in lower case.

    Raises:
        ValueError: it is none; the message says why and repeats no secret.
    """
    parts: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError("a part of it has no =")
        parts[name.strip().lower()] = value.strip()
    if "sharedaccesssignature" not in parts and not {"accountname", "accountkey"} <= parts.keys():
        raise ValueError("it has neither AccountName and AccountKey nor SharedAccessSignature")
    if not {"accountname", "blobendpoint"} & parts.keys():
        raise ValueError("it has neither AccountName nor BlobEndpoint")
    return parts


def _web_address(text: str) -> None:
    found = urlsplit(text)
    if found.scheme not in ("http", "https") or not found.hostname or found.query or found.fragment:
        raise ValueError


@dataclass(frozen=True, slots=True)
class AzureCredentials(Settings):
    """``storage.azure.credentials``."""

    type: str = setting(WAYS, "", "how to authenticate; empty: with `accountkey`, and without it `default_credentials`")
    clientid: str = setting(Text(), "", "of `client_secret`: the application")
    tenantid: str = setting(Text(), "", "of `client_secret`: its directory")
    secret: str = setting(Text(), "", "of `client_secret`", secret=True)


@dataclass(frozen=True, slots=True)
class AzureParameters(Settings):
    """``storage.azure`` and GitLab's ``storage.azure_v2``.

    Attributes:
        authentication: ``connectionstring`` or one of ``WAYS``.
        events: of the client that are logged, in lower case.
    """

    accountname: str = setting(Text(), "", "storage account; may be left out with `connectionstring`")
    accountkey: str = setting(Text(), "", "one of its two keys", secret=True)
    connectionstring: str = setting(Text(), "", "account, key or signature, and address in one text", secret=True)
    container: str = setting(Text(), "", "its name", required=True)
    credentials: AzureCredentials = section(AzureCredentials, "other ways to authenticate (Distribution 3)")
    credentials_type: str = setting(WAYS, "", "`credentials.type` (GitLab)")
    tenant_id: str = setting(Text(), "", "`credentials.tenantid` (GitLab)")
    client_id: str = setting(Text(), "", "`credentials.clientid` (GitLab)")
    secret: str = setting(Text(), "", "`credentials.secret` (GitLab)", secret=True)
    rootdirectory: str = setting(Text(), "", "prefix of all names")
    realm: str = setting(Text(), "core.windows.net", "end of the service's host name")
    serviceurl: str = setting(
        Text(_web_address, "a URL such as https://account.blob.core.windows.net"),
        "",
        "URL of the service, instead of `accountname` and `realm` (GitLab)",
    )
    max_retries: int = setting(Integer(0), 5, "of a request")
    retry_delay: float = setting(Duration(), 0.1, "before the first retry; doubled with each")
    retry_try_timeout: float = setting(Duration(), 0.0, "of each try; 0: as long as anything comes (GitLab)")
    max_retry_delay: float = setting(Duration(), 0.0, "longest wait between retries; 0: 20s (GitLab)")
    skipverify: bool = setting(Boolean(), default=False, doc="don't check the service's certificate")
    legacyrootprefix: bool = setting(Boolean(), default=False, doc="names begin with `/` (GitLab)")
    trimlegacyrootprefix: bool = setting(
        Boolean(), default=True, doc="the opposite of `legacyrootprefix`; `false` was GitLab's default before 16.0"
    )
    api_pool_initial_interval: float = setting(Duration(), 0.1, "first wait for a copy (GitLab)")
    api_pool_max_interval: float = setting(Duration(), 1.0, "longest wait between two looks at a copy (GitLab)")
    api_pool_max_elapsed_time: float = setting(
        Duration(), 60.0, "how long a copy may make no progress before it is given up (GitLab)"
    )
    copy_status_poll_max_retry: int = setting(
        Integer(), 5, "looks at a copy (Distribution 3)", status=NoEffect(WAITING)
    )
    copy_status_poll_delay: float = setting(
        Duration(), 0.1, "between looks at a copy (Distribution 3)", status=NoEffect(WAITING)
    )
    debug_log: bool = setting(Boolean(), default=False, doc="log the requests to the service (GitLab)")
    debug_log_events: str = setting(
        Text(), "", f"which of {', '.join(DEBUG_EVENTS)}, with commas between; empty: all (GitLab)"
    )
    authentication: str = ""
    events: frozenset[str] = frozenset()

    def verify(self, node: MappingNode, place: Place) -> AzureParameters:
        """Settle which of several keys count, and ask for those that belong to them."""
        self._verify_names(node, place)
        legacy = self._is_legacy(node, place)
        return dataclasses.replace(
            self,
            authentication=self._authentication(node, place),
            events=self._events(node, place),
            legacyrootprefix=legacy,
            trimlegacyrootprefix=not legacy,
        )

    def _verify_names(self, node: MappingNode, place: Place) -> None:
        if "/" in self.container:
            place.child("container").error(
                node.entries["container"].origin,
                f"is {self.container!r}, with a slash; expected a container alone: "
                "directories in it belong in rootdirectory",
            )
        elif self.container and not CONTAINER.fullmatch(self.container):
            place.child("container").error(
                node.entries["container"].origin,
                f"is {self.container!r}; expected 3 to 63 small letters, digits and single hyphens",
            )
        named = self.accountname or self.connectionstring or (self.serviceurl and not self.accountkey)
        if not named:
            place.child("accountname").error(node.origin, "is missing; expected the name of the storage account")
        elif self.accountname and not self.serviceurl and not ACCOUNT.fullmatch(self.accountname):
            place.child("accountname").error(
                node.entries["accountname"].origin,
                f"is {self.accountname!r}; expected the account's name alone, 3 to 24 small letters and digits",
            )

    def _authentication(self, node: MappingNode, place: Place) -> str:
        """Return how to authenticate."""
        if self.connectionstring:
            origin = node.entries["connectionstring"].origin
            try:
                parts = parse_connection_string(self.connectionstring)
            except ValueError as error:
                place.child("connectionstring").error(origin, f"is no connection string: {error}")
                return "connectionstring"
            named = parts.get("accountname", self.accountname)
            if self.accountname and named != self.accountname:
                place.child("connectionstring").error(origin, f"is of another account than {self.accountname!r}")
            return "connectionstring"
        way = self.credentials.type or self.credentials_type
        if self.credentials_type and way != self.credentials_type:
            place.child("credentials_type").error(
                node.entries["credentials_type"].origin,
                f"is {self.credentials_type!r} and credentials.type {way!r}; keep one of them",
            )
        way = way or ("shared_key" if self.accountkey else "default_credentials")
        if way != "shared_key" and self.serviceurl.startswith("http:"):
            place.child("serviceurl").error(
                node.entries["serviceurl"].origin,
                f"is http://, by which no token may travel; expected https:// for {way}",
            )
        if way == "shared_key" and not self.accountkey:
            place.child("accountkey").error(node.origin, "is missing; expected a key of the account for shared_key")
        if way == "client_secret":
            for name, value in zip(SECRET_PARTS, self.application, strict=True):
                if not value:
                    place.child("credentials").child(name).error(node.origin, "is missing; client_secret needs it")
        return way

    @property
    def application(self) -> tuple[str, str, str]:
        """Tenant, client and secret of ``client_secret``."""
        given = self.credentials
        return (given.tenantid or self.tenant_id, given.clientid or self.client_id, given.secret or self.secret)

    def _events(self, node: MappingNode, place: Place) -> frozenset[str]:
        if not self.debug_log:
            return frozenset()
        names = {name.strip().lower() for name in self.debug_log_events.split(",")} - {""}
        found = {EVENT_ALIASES.get(name, name) for name in names}
        for name in sorted(found - set(DEBUG_EVENTS)):
            place.child("debug_log_events").error(
                node.entries["debug_log_events"].origin, f"names {name!r}; expected some of {', '.join(DEBUG_EVENTS)}"
            )
        return frozenset(found & set(DEBUG_EVENTS) if found else DEBUG_EVENTS)

    def _is_legacy(self, node: MappingNode, place: Place) -> bool:
        """Settle two opposite settings by the one that is there; refuse both alike, as GitLab's fork does."""
        given = [key for key in ("legacyrootprefix", "trimlegacyrootprefix") if key in node.entries]
        if given == ["trimlegacyrootprefix"]:
            return not self.trimlegacyrootprefix
        if len(given) > 1 and self.legacyrootprefix == self.trimlegacyrootprefix:
            place.child("trimlegacyrootprefix").error(
                node.key_origins["trimlegacyrootprefix"],
                f"is {str(self.legacyrootprefix).lower()}, as is legacyrootprefix; expected the opposite, or one alone",
            )
        return self.legacyrootprefix

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells this storage from others; the container comes first."""
        account, where = self.accountname, self.serviceurl or self.realm
        if self.connectionstring:
            parts = parse_connection_string(self.connectionstring)
            account = parts.get("accountname", account)
            where = parts.get("blobendpoint", parts.get("endpointsuffix", where))
        root = "/" * self.legacyrootprefix + self.rootdirectory.strip("/")
        return self.container, account, where.rstrip("/"), root
