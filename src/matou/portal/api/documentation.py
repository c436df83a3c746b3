"""The API's reference as one page, made from its OpenAPI document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe

from matou.portal.api.operations import by_subject
from matou.portal.api.routes import api
from matou.portal.web.page import page

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from matou.portal.api.operations import Described


def _operation(operation: Described) -> SafeString:
    rows = format_html_join(
        "\n",
        "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td></tr>",
        (
            (argument.name, argument.kind, "yes" if argument.required else "", argument.meaning)
            for argument in operation.arguments
        ),
    )
    table: str = (
        format_html(
            '<div class="scroll"><table><thead><tr><th>Parameter</th><th>Type</th><th>Required</th>'
            "<th>Meaning</th></tr></thead>"
            "<tbody>{}</tbody></table></div>",
            rows,
        )
        if rows
        else ""
    )
    return format_html(
        '<article id="{}"><h3><code>{} {}</code></h3><p><strong>{}.</strong> {}</p>{}<p>Answers: {} {}</p></article>',
        operation.name,
        operation.method,
        operation.path,
        operation.summary,
        operation.description,
        table,
        operation.status,
        operation.answer,
    )


def render(document: dict[str, Any], address: str) -> SafeString:
    """What the page of an OpenAPI document says.

    Args:
        document: The OpenAPI 3.1 document.
        address: Where its JSON is, for a link.

    Returns:
        HTML.
    """
    subjects = by_subject(document)
    sections = format_html_join(
        "\n",
        '<section><h2 id="{}">{}</h2>{}</section>',
        (
            (_anchor(subject), subject, mark_safe("\n".join(map(_operation, operations))))  # noqa: S308 -- made by format_html above
            for subject, operations in subjects.items()
        ),
    )
    contents = format_html_join(
        "\n", '<li><a href="#{}">{}</a></li>', ((_anchor(subject), subject) for subject in subjects)
    )
    return format_html(
        '<h1>{title}</h1><p class="lead">{description}</p><p>Machine-readable: <a href="{address}">{address}</a></p>'
        '<nav aria-label="Subjects"><ul class="contents">{contents}</ul></nav>{sections}',
        title=document["info"]["title"],
        description=document["info"]["description"],
        address=address,
        contents=contents,
        sections=sections,
    )


def _anchor(subject: str) -> str:
    return subject.replace(" ", "-").lower()


@require_safe
def api_documentation(request: HttpRequest) -> HttpResponse:
    """``/help/api``: every operation with its parameters."""
    document = dict(api.get_openapi_schema())
    reference = render(document, reverse(f"{api.urls_namespace}:openapi-json"))
    return page(request, "web/reference.html", title=document["info"]["title"], reference=reference)
