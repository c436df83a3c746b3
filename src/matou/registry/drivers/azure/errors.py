"""What the service and the libraries say when something fails, as errors of drivers that name cause and fix.

Source: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from matou.registry.drivers.base import NotFound, StorageError, Transient, Unusable
from matou.registry.drivers.proxies import failure_of_proxy, unauthenticated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MISSING = frozenset(("BlobNotFound", "404"))
THROTTLING = frozenset(("ServerBusy", "429", "503"))
PASSING = frozenset(
    ("OperationTimedOut", "InternalError", "ContainerBeingDeleted", "AccountBeingCreated", "408", "500", "502", "504")
)
UNAUTHENTICATED = frozenset(("AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation"))
# Whatever is asked for is answered so.
ALWAYS = frozenset(
    (
        "ContainerNotFound",
        "ContainerDisabled",
        "ResourceNotFound",
        "InvalidResourceName",
        "KeyBasedAuthenticationNotPermitted",
        "AccountIsDisabled",
        "AccountRequiresHttps",
    )
)
REFUSALS = (401, 403)
NOT_FOUND = 404
TOLERATED_SKEW = 300  # seconds; the service tolerates 900
LONGEST_TEXT = 500  # characters of what a library says


class Refusal(StorageError):  # noqa: N818 -- as NotFound
    """The service refused a request for a reason that the driver may have an answer to.

    Attributes:
        code: the service's error code.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class Denial(Refusal, Unusable):
    """The service refuses every request."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What messages name of the configuration.

    Attributes:
        account: its name.
        host: of the service.
        container: its name.
        authentication: as in ``AzureParameters``.
    """

    account: str
    host: str
    container: str
    authentication: str


class Answer(NamedTuple):
    """An answer that tells of a failure.

    Attributes:
        status: of HTTP.
        code: the service's, or "".
        text: what it says.
        headers: of the answer, by lower-case names.
    """

    status: int
    code: str
    text: str
    headers: Mapping[str, str]


@contextmanager
def translated(setup: Setup, doing: str) -> Iterator[None]:
    """Translate what the libraries raise.

    Args:
        setup: of the driver.
        doing: what was asked for, such as ``reading a/b``.

    Raises:
        NotFound: the blob does not exist.
        Transient: repeating the request may help.
        Refusal: it will not, and the service says why.
        StorageError: it will not.
    """
    try:
        yield
    except ClientAuthenticationError as error:
        if getattr(error, "error_code", None) is None:
            raise Unusable(f"azure: no token for {doing}: {_line(error)}; {_fix_of_identity(setup)}") from error
        raise failure(setup, doing, _answer(error)) from error
    except HttpResponseError as error:
        raise failure(setup, doing, _answer(error)) from error
    except (ServiceRequestError, ServiceResponseError, aiohttp.ClientError) as error:
        raise _disconnected(setup, doing, error) from error
    except TimeoutError as error:
        raise Transient(f"azure: {doing} took too long") from error
    except AzureError as error:
        raise StorageError(f"azure: {doing} failed: {_line(error)}") from error


def failure(setup: Setup, doing: str, answer: Answer) -> StorageError:
    """Return the error for an answer."""
    code = answer.code or str(answer.status)
    said = f"{code}: {answer.text}" if answer.text else code
    message = f"azure: {doing} failed: {said} (status {answer.status})"
    if answer.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return unauthenticated(f"azure: {doing}")
    if code in MISSING or (code == "CannotVerifyCopySource" and answer.status == NOT_FOUND):
        return NotFound(f"azure: {doing} failed: there is no such blob")
    if code in THROTTLING or code in PASSING:
        return Transient(message, throttled=code in THROTTLING, retry_after=_seconds(answer.headers))
    fix = _fix(setup, answer)
    is_for_all = code in ALWAYS or (fix and fix in (_fix_of_authentication(setup), _fix_of_clock(answer)))
    kind = Denial if is_for_all else Refusal
    return kind(f"{message}; {fix}" if fix else message, code)


def _fix(setup: Setup, answer: Answer) -> str:
    """Return what to do about a refusal, "" where that is not known."""
    clock = _fix_of_clock(answer)
    if clock:
        return clock
    # Azurite has one code for all that is wrong with a signature.
    if answer.code in UNAUTHENTICATED or (answer.code == "AuthorizationFailure" and "authenticate" in answer.text):
        return _fix_of_authentication(setup)
    fixes = {
        "ContainerNotFound": f"the account {setup.account} has no container {setup.container!r}: make it, or correct "
        "storage.azure.container",
        "ContainerDisabled": f"an administrator has disabled the container {setup.container!r}",
        "ResourceNotFound": f"is {setup.account!r} the account (storage.azure.accountname)?",
        "InvalidResourceName": "correct storage.azure.container or rootdirectory",
        "OutOfRangeInput": "correct storage.azure.container or rootdirectory",
        "AuthorizationFailure": f"the network rules of the account {setup.account} keep this machine out, or the "
        "signature in storage.azure.connectionstring does not allow this",
        "AuthorizationPermissionMismatch": "give the identity the role Storage Blob Data Contributor on the container, "
        "or sign storage.azure.connectionstring with the permissions racwdl",
        "InsufficientAccountPermissions": "give the identity the role Storage Blob Data Contributor on the container",
        "KeyBasedAuthenticationNotPermitted": f"the account {setup.account} takes no keys: set "
        "storage.azure.credentials.type to default_credentials or client_secret",
        "PublicAccessNotPermitted": _fix_of_authentication(setup),
        "AccountIsDisabled": f"the account {setup.account} is disabled: look at its subscription",
        "AccountRequiresHttps": "storage.azure.serviceurl must begin with https://",
        "BlobArchived": "the blob is in the archive tier: rehydrate it, and leave the tree out of lifecycle rules",
        "BlobImmutableDueToPolicy": "the container has an immutability policy, which a registry cannot work under",
        "LeaseIdMissing": "somebody holds a lease on it: break it",
        "UnsupportedHeader": "the account is of a kind that this does not work with",
    }
    return fixes.get(answer.code, "")


def _fix_of_clock(answer: Answer) -> str:
    skew = _skew(answer.headers) if answer.status in REFUSALS else 0.0
    if abs(skew) <= TOLERATED_SKEW:
        return ""
    return (
        f"this machine's clock is {abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} the service's: set it right"
    )


def _fix_of_authentication(setup: Setup) -> str:
    return {
        "shared_key": f"storage.azure.accountkey is no key of the account {setup.account}",
        "connectionstring": "the key in storage.azure.connectionstring is not the account's, or the signature in it is "
        "wrong or has expired",
    }.get(setup.authentication, f"the account {setup.account} is of another directory than the identity, or disabled")


def _fix_of_identity(setup: Setup) -> str:
    if setup.authentication == "client_secret":
        return "correct tenantid, clientid and secret in storage.azure.credentials"
    return (
        "default_credentials needs AZURE_CLIENT_ID and the like in the environment, or a managed or workload identity "
        "of the machine; or set storage.azure.accountkey"
    )


def _disconnected(setup: Setup, doing: str, error: Exception) -> StorageError:
    cause = getattr(error, "inner_exception", None) or error
    if isinstance(cause, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return failure_of_proxy(f"azure: {doing}", cause)
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return Transient(
            f"azure: {doing} failed: the host {setup.host} cannot be resolved; is storage.azure.accountname right "
            "(and realm or serviceurl, if they are set)?"
        )
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        return Unusable(
            f"azure: {doing} failed: the certificate of {setup.host} is not trusted ({_line(cause)}); install its "
            "authority on this machine (or, for a test, set storage.azure.skipverify)"
        )
    return Transient(f"azure: {doing} failed: {_line(error) or type(error).__name__}")


def _answer(error: HttpResponseError) -> Answer:
    code = getattr(error, "error_code", None)
    response: Any = error.response
    headers = {} if response is None else {name.lower(): value for name, value in response.headers.items()}
    lines = str(error.message).splitlines()
    return Answer(
        error.status_code or 0, str(getattr(code, "value", code) or ""), lines[0].strip() if lines else "", headers
    )


def _line(error: BaseException) -> str:
    """Return what a library says, in one line of sensible length."""
    return " ".join(str(error).split())[:LONGEST_TEXT]


def _skew(headers: Mapping[str, str]) -> float:
    """Return the seconds that this machine's clock is behind the service's."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp() - time.time()
    except (KeyError, ValueError):
        return 0.0


def _seconds(headers: Mapping[str, str]) -> float | None:
    try:
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):
        return None
