"""Pages of a list, with GitLab's parameters and headers.

Offset pages carry ``X-Total`` and friends and ``Link``; keyset pages, which cost the same however deep they are, carry
``Link`` to the next page alone.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar
from urllib.parse import urlencode

from django.db.models import QuerySet
from pydantic import Field

from matou.portal.api.arguments import LARGEST_ID, Arguments
from matou.portal.api.errors import ApiError, bad_argument

if TYPE_CHECKING:
    from django.db.models import Model
    from django.http import HttpRequest, HttpResponse

LARGEST_PAGE = 100
# Counting costs in proportion to the rows; beyond this GitLab leaves the totals out, and so do we.
COUNT_LIMIT = 10_000

ModelT = TypeVar("ModelT", bound="Model")


class PageArguments(Arguments):
    """Which page of a list."""

    page: Annotated[int | None, Field(le=LARGEST_ID, description="Number of the page, from 1.")] = 1
    per_page: Annotated[int | None, Field(le=LARGEST_ID, description="Items a page, 100 at most.")] = 20

    def size(self) -> int:
        """Items a page.

        Raises:
            ApiError: ``per_page`` is not positive (400).
        """
        wanted = 20 if self.per_page is None else self.per_page
        if wanted < 1:
            raise bad_argument("per_page has a value not allowed")
        return min(wanted, LARGEST_PAGE)


class KeysetArguments(PageArguments):
    """Which page of a list that can also be read by keyset."""

    pagination: Annotated[
        Literal["legacy", "keyset"] | None, Field(description="`keyset` for pages that cost the same at any depth.")
    ] = None
    id_after: Annotated[int | None, Field(le=LARGEST_ID, description="Only items with a greater id.")] = None
    id_before: Annotated[int | None, Field(le=LARGEST_ID, description="Only items with a smaller id.")] = None


# Credentials in a link would end up in logs and browser histories.
_NEVER_LINKED = {"private_token", "access_token", "job_token"}


def _link(request: HttpRequest, relation: str, **changes: int) -> str:
    pairs = [
        (name, value)
        for name, values in request.GET.lists()
        for value in values
        if name not in changes and name not in _NEVER_LINKED
    ]
    pairs += [(name, str(value)) for name, value in changes.items()]
    return f'<{request.build_absolute_uri(request.path_info)}?{urlencode(pairs)}>; rel="{relation}"'


def _slice(
    request: HttpRequest, response: HttpResponse, rows: QuerySet[ModelT], arguments: PageArguments
) -> tuple[int, int]:
    """Sets the headers; gives first and last index of the page."""
    size = arguments.size()
    page = max(arguments.page or 1, 1)
    total = rows[: COUNT_LIMIT + 1].count()
    start = (page - 1) * size
    if start > LARGEST_ID - size:
        raise bad_argument("page has a value not allowed")
    counted = total <= COUNT_LIMIT
    pages = max((total + size - 1) // size, 1)
    more = page < pages if counted else rows[start + size : start + size + 1].exists()
    links = []
    if page > 1:
        links.append(_link(request, "prev", page=page - 1, per_page=size))
    if more:
        links.append(_link(request, "next", page=page + 1, per_page=size))
    links.append(_link(request, "first", page=1, per_page=size))
    if counted:
        links.append(_link(request, "last", page=pages, per_page=size))
        response.headers["X-Total"] = str(total)
        response.headers["X-Total-Pages"] = str(pages)
    response.headers["X-Page"] = str(page)
    response.headers["X-Per-Page"] = str(size)
    response.headers["X-Next-Page"] = str(page + 1) if more else ""
    response.headers["X-Prev-Page"] = str(page - 1) if page > 1 else ""
    response.headers["Link"] = ", ".join(links)
    return start, start + size


def paginate(
    request: HttpRequest, response: HttpResponse, rows: QuerySet[ModelT], arguments: PageArguments
) -> list[ModelT]:
    """One page by offset.

    Args:
        request: The request, for its links.
        response: Gets the headers.
        rows: All rows, in a total order.
        arguments: Which page.

    Returns:
        The rows of the page.

    Raises:
        ApiError: The page is not one (400).
    """
    start, stop = _slice(request, response, rows, arguments)
    return list(rows[start:stop])


def paginate_by_key(
    request: HttpRequest,
    response: HttpResponse,
    rows: QuerySet[ModelT],
    arguments: KeysetArguments,
    *,
    order_by: str,
    descending: bool,
) -> list[ModelT]:
    """One page by keyset when the caller asks for it, by offset otherwise.

    Args:
        request: The request, for its links.
        response: Gets the headers.
        rows: All rows, ordered by ``order_by`` and then id.
        arguments: Which page.
        order_by: The order that was asked for; keysets exist for ``id``.
        descending: Its direction.

    Returns:
        The rows of the page.

    Raises:
        ApiError: Keyset pages of another order than by id (405), or no page at all (400).
    """
    filters: dict[str, Any] = {}
    if arguments.id_after is not None:
        filters["pk__gt"] = arguments.id_after
    if arguments.id_before is not None:
        filters["pk__lt"] = arguments.id_before
    rows = rows.filter(**filters)
    if arguments.pagination != "keyset":
        return paginate(request, response, rows, arguments)
    if order_by != "id":
        raise ApiError(
            HTTPStatus.METHOD_NOT_ALLOWED,
            {"error": "Keyset pagination is not yet available for this type of request: order by id"},
        )
    size = arguments.size()
    found = list(rows.order_by("-pk" if descending else "pk")[: size + 1])
    page = found[:size]
    if len(found) > size:
        edge: int = page[-1].pk
        following = {"id_before": edge} if descending else {"id_after": edge}
        response.headers["Link"] = _link(request, "next", per_page=size, **following)
    return page
