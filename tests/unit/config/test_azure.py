"""``storage.azure`` and ``azure_v2``: the guide's examples, both dialects of credentials, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers.azure.account import Account
from matou.registry.drivers.azure.names import Names
from matou.registry.drivers.base import StorageError
from tests.unit.config.reading import errors, parse

if TYPE_CHECKING:
    from matou.config.sections.azure import AzureParameters

# The administration guide, "Migrate to Azure object storage": source, and what Omnibus makes of its own.
GUIDE = """\
version: 0.1
storage:
  azure:
    accountname: accountname
    accountkey: base64encodedaccountkey
    container: containername
    rootdirectory: /azure/virtual/container
    trimlegacyrootprefix: true
"""
GUIDE_OMNIBUS = (
    'version: 0.1\nstorage: {"azure":{"accountname":"accountname","accountkey":"base64encodedaccountkey",'
    '"container":"containername","rootdirectory":"/azure/virtual/container","trimlegacyrootprefix":"true"},'
    '"cache":{"blobdescriptor":"inmemory"},"delete":{"enabled":true}}\n'
)
ACCOUNT = "accountname: harbour, accountkey: a2V5, container: images"
KEY_STRING = "DefaultEndpointsProtocol=https;AccountName=harbour;AccountKey=a2V5;EndpointSuffix=core.chinacloudapi.cn"


def azure(options: str, driver: str = "azure") -> AzureParameters:
    found = parse(f"version: 0.1\nstorage:\n  {driver}: {{{options}}}\n")
    assert [str(warning) for warning in found.warnings] == []
    parameters = found.storage.azure_parameters
    assert parameters is not None
    return parameters


def problem(options: str) -> str:
    (line,) = errors(f"version: 0.1\nstorage:\n  azure: {{{options}}}\n")
    return line.partition(": ")[2]


@pytest.mark.parametrize("text", [GUIDE, GUIDE_OMNIBUS])
def test_the_guide(text: str) -> None:
    found = parse(text)
    assert found.warnings == ()
    parameters = found.storage.azure_parameters
    assert parameters is not None
    assert (parameters.accountname, parameters.container) == ("accountname", "containername")
    assert parameters.authentication == "shared_key"
    names = Names.of(parameters)
    assert names.name("docker/registry/v2") == "azure/virtual/container/docker/registry/v2"
    # What the guide says of a configuration without it: `//` instead of `/`.
    assert names.other.name("docker/registry/v2") == "/azure/virtual/container/docker/registry/v2"
    with pytest.raises(StorageError, match="not base64"):
        Account.of(parameters)


@pytest.mark.parametrize(
    ("options", "prefix"),
    [
        ("", ""),
        ("rootdirectory: /", ""),
        ("rootdirectory: ''", ""),
        ("rootdirectory: a/b/", "a/b/"),
        ("trimlegacyrootprefix: true", ""),
        ("trimlegacyrootprefix: false", "/"),
        ("trimlegacyrootprefix: 'false'", "/"),
        ("legacyrootprefix: true", "/"),
        ("legacyrootprefix: false", ""),
        ("legacyrootprefix: true, trimlegacyrootprefix: false", "/"),
        ("legacyrootprefix: false, trimlegacyrootprefix: true", ""),
        ("legacyrootprefix: true, rootdirectory: /a", "/a/"),
    ],
)
@pytest.mark.parametrize("driver", ["azure", "azure_v2"])
def test_how_names_begin(driver: str, options: str, prefix: str) -> None:
    parameters = azure(f"{ACCOUNT}, {options}" if options else ACCOUNT, driver)
    assert Names.of(parameters).prefix == prefix
    assert parameters.trimlegacyrootprefix is not parameters.legacyrootprefix


@pytest.mark.parametrize("value", ["true", "false"])
def test_two_settings_that_contradict_each_other(value: str) -> None:
    assert problem(f"{ACCOUNT}, legacyrootprefix: {value}, trimlegacyrootprefix: '{value}'") == (
        f"storage.azure.trimlegacyrootprefix is {value}, as is legacyrootprefix; expected the opposite, or one alone"
    )


APPLICATION = "clientid: c, tenantid: t, secret: s"
GITLAB_APPLICATION = "client_id: c, tenant_id: t, secret: s"
ENDPOINT = "https://harbour.blob.core.windows.net"


@pytest.mark.parametrize(
    ("options", "authentication", "endpoint"),
    [
        (ACCOUNT, "shared_key", ENDPOINT),
        (f"{ACCOUNT}, credentials: {{type: shared_key}}", "shared_key", ENDPOINT),
        (f"{ACCOUNT}, realm: core.chinacloudapi.cn", "shared_key", "https://harbour.blob.core.chinacloudapi.cn"),
        (f"{ACCOUNT}, serviceurl: 'http://localhost:10000/harbour/'", "shared_key", "http://localhost:10000/harbour"),
        ("accountname: harbour, container: images", "default_credentials", ENDPOINT),
        (f"{ACCOUNT}, credentials: {{type: default_credentials}}", "default_credentials", ENDPOINT),
        (f"{ACCOUNT}, credentials_type: default", "default_credentials", ENDPOINT),
        (f"{ACCOUNT}, credentials: {{type: client_secret, {APPLICATION}}}", "client_secret", ENDPOINT),
        (
            f"serviceurl: '{ENDPOINT}', container: images, credentials_type: client_secret, {GITLAB_APPLICATION}",
            "client_secret",
            ENDPOINT,
        ),
        (
            f"connectionstring: '{KEY_STRING}', container: images",
            "connectionstring",
            "https://harbour.blob.core.chinacloudapi.cn",
        ),
        (
            f"connectionstring: 'BlobEndpoint={ENDPOINT}/;SharedAccessSignature=?sv=1&sig=x%3D', container: images",
            "connectionstring",
            ENDPOINT,
        ),
    ],
)
def test_accounts(options: str, authentication: str, endpoint: str) -> None:
    parameters = azure(options)
    account = Account.of(parameters)
    assert (account.name, account.authentication, account.endpoint) == ("harbour", authentication, endpoint)
    assert account.key == ("a2V5" if authentication == "shared_key" or KEY_STRING in options else "")
    assert account.signature == ("sv=1&sig=x%3D" if "SharedAccess" in options else "")
    if authentication == "client_secret":
        assert account.application == ("t", "c", "s")


def test_clouds_have_their_own_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_AUTHORITY_HOST", raising=False)
    options = "accountname: harbour, container: images"
    assert Account.of(azure(options)).authority == ""
    chinese = azure(f"{options}, realm: core.chinacloudapi.cn")
    assert Account.of(chinese).authority == "login.chinacloudapi.cn"
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "login.example.com")
    assert Account.of(chinese).authority == ""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("accountname: harbour", "container is missing; expected a text"),
        (f"{ACCOUNT}/sub", "container is 'images/sub', with a slash; expected a container alone: directories in it "),
        ("accountname: harbour, accountkey: a, container: Images", "container is 'Images'; expected 3 to 63 small "),
        ("accountkey: a, container: images", "accountname is missing; expected the name of the storage account"),
        (
            "accountname: harbour.blob.core.windows.net, accountkey: a, container: images",
            "accountname is 'harbour.blob.core.windows.net'; expected the account's name alone, ",
        ),
        (
            "accountname: harbour, container: images, credentials: {type: shared_key}",
            "accountkey is missing; expected a key of the account for shared_key",
        ),
        (
            "accountname: harbour, container: images, credentials: {type: client_secret, clientid: c, secret: s}",
            "credentials.tenantid is missing; client_secret needs it",
        ),
        (
            f"{ACCOUNT}, credentials_type: other",
            "credentials_type is 'other'; expected one of shared_key, client_secret",
        ),
        (
            f"{ACCOUNT}, credentials_type: default, credentials: {{type: shared_key}}",
            "credentials_type is 'default_credentials' and credentials.type 'shared_key'; keep one of them",
        ),
        (
            f"{ACCOUNT}, serviceurl: harbour.blob",
            "serviceurl is 'harbour.blob'; expected a URL such as https://account.",
        ),
        (
            "accountname: harbour, container: images, serviceurl: 'http://localhost:1/harbour'",
            "serviceurl is http://, by which no token may travel; expected https:// for default_credentials",
        ),
        (f"{ACCOUNT}, connectionstring: secret", "connectionstring is no connection string: a part of it has no ="),
        (
            f"{ACCOUNT}, connectionstring: 'AccountName=harbour'",
            "connectionstring is no connection string: it has neither ",
        ),
        (
            f"accountname: quay, container: images, connectionstring: '{KEY_STRING}'",
            "connectionstring is of another account than 'quay'",
        ),
        (
            f"{ACCOUNT}, debug_log: true, debug_log_events: 'Request, all'",
            "debug_log_events names 'all'; expected some of ",
        ),
    ],
)
def test_what_is_refused(options: str, expected: str) -> None:
    line = problem(options)
    assert line.startswith(f"storage.azure.{expected}")
    assert "a2V5" not in line


@pytest.mark.parametrize(
    ("options", "events"),
    [
        ("", set()),
        ("debug_log_events: Request", set()),
        ("debug_log: true", {"request", "response", "responseerror", "retry", "longrunningoperation"}),
        (
            "debug_log: true, debug_log_events: 'ResponseError,retryPolicy, LRO'",
            {"responseerror", "retry", "longrunningoperation"},
        ),
    ],
)
def test_what_is_logged(options: str, events: set[str]) -> None:
    assert azure(f"{ACCOUNT}, {options}" if options else ACCOUNT, "azure_v2").events == events


def test_every_storage_has_an_identity_of_its_own() -> None:
    variants = [
        ACCOUNT,
        ACCOUNT.replace("images", "other"),
        ACCOUNT.replace("harbour", "quayside"),
        f"{ACCOUNT}, rootdirectory: a",
        f"{ACCOUNT}, legacyrootprefix: true",
        f"{ACCOUNT}, realm: core.chinacloudapi.cn",
        f"{ACCOUNT}, serviceurl: 'http://localhost:10000/harbour'",
    ]
    identities = [azure(options).identity for options in variants]
    assert len(set(identities)) == len(variants)
    assert azure(f"{ACCOUNT}, rootdirectory: /a/").identity == azure(f"{ACCOUNT}, rootdirectory: a").identity
    assert azure(f"connectionstring: '{KEY_STRING}', container: images").identity == identities[5]
    assert not any("a2V5" in part for identity in identities for part in identity)
