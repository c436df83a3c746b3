"""What is running: ``/version`` and ``/metadata``."""

from __future__ import annotations

from importlib.metadata import version

from django.http import HttpRequest
from ninja import Router

from matou.portal.api import entities
from matou.portal.api.authentication import ReadUser

router = Router(tags=["Metadata"], exclude_unset=True, by_alias=True)

VERSION = version("matou")
REVISION = "matou"  # GitLab has the commit here; this is how scripts can tell the two apart


@router.get("/version", auth=ReadUser(), response=entities.Version, summary="Get the version")
def get_version(request: HttpRequest) -> entities.Version:
    """Tells the version of Matou."""
    del request
    return entities.Version(version=VERSION, revision=REVISION)


@router.get("/metadata", auth=ReadUser(), response=entities.Metadata, summary="Get metadata")
def get_metadata(request: HttpRequest) -> entities.Metadata:
    """Tells the version of Matou, and that it is no enterprise edition."""
    del request
    return entities.Metadata(version=VERSION, revision=REVISION, enterprise=False)
