"""Tokens for jobs of external CI systems: an addition to GitLab's API, whose own CI makes such tokens itself.

The CI system asks for one when a job begins, hands it to the job as ``CI_JOB_TOKEN``, and ends it when the job is over.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router
from pydantic import Field

from matou.portal.api import entities, present
from matou.portal.api.access import DEVELOPER, MAINTAINER, find_project, project_role, require
from matou.portal.api.arguments import Arguments, FromBody, FromQuery
from matou.portal.api.authentication import JobWrite, Read, Write, caller_of
from matou.portal.api.errors import forbidden, not_found
from matou.portal.api.pagination import PageArguments, paginate
from matou.portal.namespaces.models import Project
from matou.portal.tokens import services
from matou.portal.tokens.models import JobToken

router = Router(tags=["Job tokens"], exclude_unset=True, by_alias=True)

DEFAULT_LIFETIME = 3600  # seconds: GitLab's default timeout of jobs
LONGEST_LIFETIME = int(services.LONGEST_JOB.total_seconds())


class ListJobTokens(PageArguments):
    """Which tokens to list."""


class CreateJobToken(Arguments):
    """A new job."""

    expires_in: Annotated[
        int | None,
        Field(
            description=f"Seconds until the job has to be over: {DEFAULT_LIFETIME} by default, {LONGEST_LIFETIME} at"
            " most.",
            ge=1,
            le=LONGEST_LIFETIME,
        ),
    ] = None


def _running(project: Project) -> QuerySet[JobToken]:
    return JobToken.objects.filter(project=project, revoked=False, expires_at__gt=timezone.now())


@router.get(
    "/projects/{ref:project_id}/job_tokens",
    auth=Read(),
    response=list[entities.JobToken],
    summary="List the tokens of running jobs",
)
def list_job_tokens(
    request: HttpRequest, response: HttpResponse, project_id: str, arguments: FromQuery[ListJobTokens]
) -> list[entities.JobToken]:
    """Lists the tokens of a project's jobs that still run; for maintainers."""
    caller = caller_of(request)
    project = find_project(caller, project_id)
    require(project_role(caller, project), MAINTAINER)
    page = paginate(request, response, _running(project).order_by("pk"), arguments)
    return [present.job_token(token) for token in page]


@router.post(
    "/projects/{ref:project_id}/job_tokens",
    auth=Write(),
    response={201: entities.JobTokenWithSecret},
    summary="Create a job's token",
)
def create_job_token(
    request: HttpRequest, project_id: str, arguments: FromBody[CreateJobToken]
) -> entities.JobTokenWithSecret:
    """Makes a token that lives as long as a job; for developers, whose rights the job has in this project alone."""
    caller = caller_of(request)
    project = find_project(caller, project_id)
    require(project_role(caller, project), DEVELOPER)
    lifetime = dt.timedelta(seconds=arguments.expires_in or DEFAULT_LIFETIME)
    token, secret = services.create_job_token(project=project, user=caller.signed_in, lifetime=lifetime)
    return present.job_token_with_secret(token, secret)


@router.delete(
    "/projects/{ref:project_id}/job_tokens/self",
    auth=JobWrite(),
    response={204: None},
    summary="End the job whose token is used",
)
def end_own_job(request: HttpRequest, project_id: str) -> None:
    """Ends the token that the request carries as `JOB-TOKEN`: the last step of a job."""
    caller = caller_of(request)
    project = find_project(caller, project_id)
    if caller.job is None or caller.job.project_id != project.pk:
        raise not_found("Job Token")
    services.revoke(caller.job)


@router.delete(
    "/projects/{ref:project_id}/job_tokens/{id:token_id}",
    auth=Write(),
    response={204: None},
    summary="End a job",
)
def end_job(request: HttpRequest, project_id: str, token_id: int) -> None:
    """Ends a job's token before its time; for the user who made it, and for maintainers."""
    caller = caller_of(request)
    project = find_project(caller, project_id)
    role = project_role(caller, project)
    require(role, DEVELOPER)
    token = _running(project).filter(pk=token_id).first()
    if token is None:
        raise not_found("Job Token")
    if token.user_id != caller.signed_in.pk and role < MAINTAINER:
        raise forbidden()
    services.revoke(token)
