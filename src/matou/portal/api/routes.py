"""The API's operations, put together."""

from __future__ import annotations

from django.urls import register_converter

from matou.portal.api import (
    deploy_tokens,
    errors,
    groups,
    job_tokens,
    memberships,
    metadata,
    namespaces,
    personal_tokens,
    projects,
    users,
)
from matou.portal.api.deploy_tokens import deploy_tokens_of
from matou.portal.api.encoded_paths import IdConverter, ReferenceConverter
from matou.portal.api.members import members_of
from matou.portal.api.openapi import GitLabApi
from matou.portal.api.resource_tokens import access_tokens_of

register_converter(ReferenceConverter, "ref")
register_converter(IdConverter, "id")

api = GitLabApi(
    title="Matou REST API",
    version=metadata.VERSION,
    description=(
        "GitLab's REST API, as far as this product has what it is about. Ids of projects and groups may be their"
        " URL-encoded full paths. Bodies may be JSON or forms. Administrators whose token has the scope `sudo` may act"
        " as another user with the parameter or header `sudo`."
    ),
    urls_namespace="api-v4",
    docs_url=None,
    openapi_url="openapi.json",
)
errors.install(api)
for router in (
    metadata.router,
    users.router,
    memberships.router,
    personal_tokens.router,
    namespaces.router,
    groups.router,
    members_of("group"),
    access_tokens_of("group"),
    deploy_tokens.router,
    deploy_tokens_of("group"),
    projects.router,
    members_of("project"),
    access_tokens_of("project"),
    deploy_tokens_of("project"),
    job_tokens.router,
):
    api.add_router("", router)
