"""Who we are to Swift: a token and the URL of an account, from an identity service of version 1, 2 or 3.

Concurrency: version 1 is a request on the event loop; Keystone's library (2 and 3) blocks and runs in a thread.
"""

from __future__ import annotations

import asyncio
import math
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, Protocol

import aiohttp

from matou.registry.drivers.base import StorageError, Transient, Unusable
from matou.registry.drivers.proxies import failure_of_proxy, unauthenticated
from matou.registry.drivers.swift.failures import THROTTLED

if TYPE_CHECKING:
    from keystoneauth1.access import AccessInfo
    from keystoneauth1.identity.base import BaseIdentityPlugin
    from keystoneauth1.session import Session

    from matou.config.sections.swift import SwiftParameters
    from matou.registry.drivers.proxies import Proxies

SECONDS = 60.0  # for a request to the identity service
EARLY = 60.0  # seconds before it expires a token is renewed, at most
SERVICE = "object-store"
FIRST, SECOND, THIRD = 1, 2, 3


class Account(NamedTuple):
    """What an identity service gives.

    Attributes:
        url: of the account in Swift, without a slash at its end.
        token: for requests to it.
        expires: when the token must be renewed, on the monotonic clock; infinite when nobody said.
        project: id of the project (tenant); "" in version 1.
    """

    url: str
    token: str
    expires: float
    project: str


class Identity(Protocol):
    """An identity service."""

    async def authenticate(self, session: aiohttp.ClientSession) -> Account:
        """Get a new token.

        Args:
            session: for services that are asked on the event loop.

        Raises:
            Transient: the service did not answer.
            StorageError: it refused, and why.
        """
        ...


def identity_of(parameters: SwiftParameters, proxies: Proxies) -> Identity:
    """Return the identity service that the configuration names.

    Args:
        parameters: of the driver.
        proxies: through which it is reached.
    """
    kind = TempAuth if parameters.identity_version == FIRST else Keystone
    return kind(parameters, proxies)


class TempAuth:
    """Version 1, as Swift's ``tempauth`` and many vendors have it.

    Source: ``swift.common.middleware.tempauth``.
    """

    def __init__(self, parameters: SwiftParameters, proxies: Proxies) -> None:
        self._parameters = parameters
        self._proxies = proxies

    async def authenticate(self, session: aiohttp.ClientSession) -> Account:
        """See ``Identity.authenticate``."""
        parameters = self._parameters
        headers = {"X-Auth-User": parameters.username, "X-Auth-Key": parameters.password}
        try:
            async with session.get(
                parameters.authurl,
                headers=headers,
                timeout=aiohttp.ClientTimeout(SECONDS),
                proxy=self._proxies.of(parameters.authurl),
            ) as response:
                return self._account(response)
        except (aiohttp.ClientSSLError, aiohttp.InvalidURL) as error:
            raise _unusable(parameters, str(error)) from error
        except (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError) as error:
            raise failure_of_proxy(f"the identity service {parameters.authurl}", error) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _unreachable(parameters, str(error) or "no answer in time") from error

    def _account(self, response: aiohttp.ClientResponse) -> Account:
        if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            raise unauthenticated(f"the identity service {self._parameters.authurl}")
        if response.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise Unusable(
                f"the identity service refused the user {self._parameters.username!r} ({response.status}); check "
                "username (account:user in version 1) and password in storage.swift"
            )
        if response.status in THROTTLED or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _unreachable(self._parameters, f"it answered {response.status}")
        url, token = response.headers.get("X-Storage-Url", ""), response.headers.get("X-Auth-Token", "")
        if not url or not token:
            raise _unusable(
                self._parameters, f"it answered {response.status} without X-Storage-Url and X-Auth-Token of version 1"
            )
        lifetime = response.headers.get("X-Auth-Token-Expires", "")
        expires = _expiry(int(lifetime)) if lifetime.isdecimal() else math.inf
        return Account(url.rstrip("/"), token, expires, "")


class Keystone:
    """Versions 2 and 3: a password, and a project or a trust."""

    def __init__(self, parameters: SwiftParameters, proxies: Proxies) -> None:
        self._parameters = parameters
        self._proxies = proxies

    async def authenticate(self, session: aiohttp.ClientSession) -> Account:  # noqa: ARG002 -- it has its own
        """See ``Identity.authenticate``."""
        return await asyncio.to_thread(self._authenticate)

    def _authenticate(self) -> Account:
        import urllib3  # noqa: PLC0415 -- loaded when it is needed
        from keystoneauth1 import exceptions  # noqa: PLC0415 -- as above
        from keystoneauth1.session import Session  # noqa: PLC0415 -- as above

        from matou.registry.drivers.blocking_requests import proxied_session, system_authorities  # noqa: PLC0415 -- as above

        parameters = self._parameters
        if parameters.insecureskipverify:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # whoever configured it knows
        session = Session(
            session=proxied_session(self._proxies),
            verify=False if parameters.insecureskipverify else system_authorities(),
            timeout=SECONDS,
        )
        try:
            access = self._access(session)
        except exceptions.Unauthorized as error:
            raise self._refusal(session) from error
        except exceptions.RetriableConnectionFailure as error:
            raise _unreachable(parameters, str(error)) from error
        except exceptions.HttpError as error:
            if error.http_status in THROTTLED or error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise _unreachable(parameters, f"it answered {error.http_status}") from error
            raise _unusable(parameters, str(error)) from error
        except exceptions.ClientException as error:
            raise _unusable(parameters, str(error)) from error
        finally:
            session.session.close()
        return self._account(access)

    def _access(self, session: Session, *, unscoped: bool = False) -> AccessInfo:
        is_second = self._parameters.identity_version == SECOND
        plugin = self._version_2(unscoped=unscoped) if is_second else self._version_3(unscoped=unscoped)
        return plugin.get_access(session)

    def _version_2(self, *, unscoped: bool) -> BaseIdentityPlugin:
        from keystoneauth1.identity import v2  # noqa: PLC0415 -- as above

        parameters = self._parameters
        return v2.Password(
            parameters.authurl,
            username=parameters.username,
            password=parameters.password,
            tenant_id=None if unscoped else parameters.tenantid or None,
            tenant_name=None if unscoped or parameters.tenantid else parameters.tenant or None,
            trust_id=None if unscoped else parameters.trustid or None,
        )

    def _version_3(self, *, unscoped: bool) -> BaseIdentityPlugin:
        """Scope as Distribution's client library does: a trust before a project, an id of it before a name."""
        from keystoneauth1.identity import v3  # noqa: PLC0415 -- as above

        parameters = self._parameters
        by_trust = bool(parameters.trustid) and not unscoped
        by_id = bool(parameters.tenantid) and not by_trust and not unscoped
        by_name = bool(parameters.tenant) and not by_id and not by_trust and not unscoped
        user_domain, project_domain = self._domains()
        return v3.Password(
            parameters.authurl,
            username=parameters.username,
            password=parameters.password,
            user_domain_name=user_domain.name or None,
            user_domain_id=user_domain.id or None,
            unscoped=unscoped,
            trust_id=parameters.trustid if by_trust else None,
            project_id=parameters.tenantid if by_id else None,
            project_name=parameters.tenant if by_name else None,
            project_domain_name=project_domain.name or None if by_name else None,
            project_domain_id=project_domain.id or None if by_name else None,
        )

    def _domains(self) -> tuple[Domain, Domain]:
        """Return the domain of the user and that of the project."""
        parameters = self._parameters
        user = Domain(parameters.domain, "" if parameters.domain else parameters.domainid)
        project = Domain(parameters.tenantdomain, "" if parameters.tenantdomain else parameters.tenantdomainid)
        default = Domain("Default", "")
        return user or project or default, project or user or default

    def _refusal(self, session: Session) -> StorageError:
        """Tell a wrong password from a project that the user may not use, by asking for no project."""
        from keystoneauth1 import exceptions  # noqa: PLC0415 -- as above

        parameters = self._parameters
        user_domain, project_domain = self._domains()
        is_third = parameters.identity_version == THIRD
        try:
            self._access(session, unscoped=True)
        except exceptions.ClientException:
            where = f" of the domain {user_domain}" if is_third else ""
            keys = "username, password and domain (or domainid)" if is_third else "username and password"
            return Unusable(
                f"the identity service refused the user {parameters.username!r}{where} (401); check {keys} in "
                "storage.swift"
            )
        if parameters.trustid:
            return Unusable(
                f"the identity service refused the trust {parameters.trustid!r} (401), though the password is right; "
                "check storage.swift.trustid"
            )
        tenant = parameters.tenantid or parameters.tenant
        where = f" of the domain {project_domain}" if is_third and not parameters.tenantid else ""
        keys = "tenant (or tenantid) and tenantdomain (or tenantdomainid)" if is_third else "tenant (or tenantid)"
        return Unusable(
            f"the identity service refused the project {tenant!r}{where} to the user {parameters.username!r} (401), "
            f"though the password is right; check {keys} in storage.swift, and that the user has a role in it"
        )

    def _account(self, access: AccessInfo) -> Account:
        from keystoneauth1 import exceptions  # noqa: PLC0415 -- as above

        parameters = self._parameters
        try:
            url = access.service_catalog.url_for(
                service_type=SERVICE, interface=parameters.endpointtype, region_name=parameters.region or None
            )
        except exceptions.CatalogException as error:
            raise self._no_endpoint(access) from error
        if not url or not access.auth_token:
            raise self._no_endpoint(access)
        expires = math.inf
        if access.expires is not None:
            expires = _expiry((access.expires - datetime.now(UTC)).total_seconds())
        return Account(url.rstrip("/"), access.auth_token, expires, access.project_id or "")

    def _no_endpoint(self, access: AccessInfo) -> StorageError:
        """Say what the catalogue has instead of what was asked for."""
        parameters = self._parameters
        found = [
            endpoint
            for endpoints in access.service_catalog.get_endpoints_data(service_type=SERVICE).values()
            for endpoint in endpoints
        ]
        asked = f"{parameters.endpointtype} endpoint" + (
            f" in the region {parameters.region!r}" if parameters.region else ""
        )
        if not found:
            return Unusable(
                f"the catalogue of the identity service has no {SERVICE}: no {asked}; name the project that has it "
                "(tenant or tenantid in storage.swift)"
            )
        there = ", ".join(sorted({f"{endpoint.interface} in {endpoint.region_name!r}" for endpoint in found}))
        return Unusable(
            f"the catalogue of the identity service has no {asked} of {SERVICE}, but: {there}; check region and "
            "endpointtype in storage.swift"
        )


class Domain(NamedTuple):
    """A domain of Keystone, by name or by id; false when it is neither."""

    name: str
    id: str

    def __bool__(self) -> bool:
        return bool(self.name or self.id)

    def __str__(self) -> str:
        return repr(self.name or self.id)


def _expiry(lifetime: float) -> float:
    """Return when a token that is good for so many seconds must be renewed."""
    return time.monotonic() + lifetime - min(EARLY, lifetime / 2)


def _unreachable(parameters: SwiftParameters, why: str) -> Transient:
    return Transient(f"the identity service {parameters.authurl} does not answer (storage.swift.authurl): {_line(why)}")


def _unusable(parameters: SwiftParameters, why: str) -> StorageError:
    return Unusable(
        f"the identity service {parameters.authurl} cannot be used: {_line(why)}; check authurl, authversion "
        f"({parameters.identity_version} is used) and insecureskipverify in storage.swift"
    )


def _line(text: str) -> str:
    return " ".join(text.split())
