"""The API's reference as one page, made from its OpenAPI document: no script, no other host, no style in attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe

from matou.portal.api.routes import api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.http import HttpRequest

METHODS = ("get", "post", "put", "patch", "delete")


def _type(schema: dict[str, Any]) -> str:
    """A schema in a word or two, for a table's cell."""
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[-1])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(option) for option in schema["anyOf"] if option.get("type") != "null"))
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type", "any"))


def _fields(schema: dict[str, Any], components: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    if "$ref" in schema:
        schema = components[schema["$ref"].rsplit("/", 1)[-1]]
    for option in schema.get("anyOf", ()):
        yield from _fields(option, components)
    required = schema.get("required", ())
    for name, detail in schema.get("properties", {}).items():
        yield name, _type(detail), "yes" if name in required else "", detail.get("description", "")


def _arguments(operation: dict[str, Any], components: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for parameter in operation.get("parameters", ()):
        required = "yes" if parameter.get("required") else ""
        description = parameter.get("description") or parameter["schema"].get("description", "")
        yield parameter["name"], _type(parameter["schema"]), required, description
    body = operation.get("requestBody")
    if body:
        yield from _fields(body["content"]["application/json"]["schema"], components)


def _operation(method: str, path: str, operation: dict[str, Any], components: dict[str, Any]) -> SafeString:
    rows = format_html_join(
        "\n",
        "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td></tr>",
        _arguments(operation, components),
    )
    table: str = (
        format_html(
            "<table><thead><tr><th>Parameter</th><th>Type</th><th>Required</th><th>Meaning</th></tr></thead>"
            "<tbody>{}</tbody></table>",
            rows,
        )
        if rows
        else ""
    )
    return format_html(
        '<article id="{}"><h3><code>{} {}</code></h3><p><strong>{}.</strong> {}</p>{}<p>Answers: {}.</p></article>',
        operation["operationId"],
        method.upper(),
        path,
        operation["summary"],
        operation.get("description", ""),
        table,
        ", ".join(str(status) for status in operation["responses"]),
    )


def render(document: dict[str, Any], address: str) -> str:
    """The page of an OpenAPI document.

    Args:
        document: The OpenAPI 3.1 document.
        address: Where its JSON is, for a link.

    Returns:
        HTML.
    """
    components = document["components"]["schemas"]
    by_tag: dict[str, list[SafeString]] = {}
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                tag = (operations[method].get("tags") or ["Other"])[0]
                by_tag.setdefault(tag, []).append(_operation(method, path, operations[method], components))
    sections = format_html_join(
        "\n",
        '<section><h2 id="{}">{}</h2>{}</section>',
        ((tag.replace(" ", "-").lower(), tag, mark_safe("\n".join(parts))) for tag, parts in by_tag.items()),  # noqa: S308 -- made by format_html above
    )
    contents = format_html_join(
        "\n", '<li><a href="#{}">{}</a></li>', ((tag.replace(" ", "-").lower(), tag) for tag in by_tag)
    )
    return format_html(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"></head>'
        "<body><header><h1>{title}</h1><p>{description}</p>"
        '<p>Machine-readable: <a href="{address}">{address}</a></p></header>'
        "<nav><ul>{contents}</ul></nav><main>{sections}</main></body></html>",
        title=document["info"]["title"],
        description=document["info"]["description"],
        address=address,
        contents=contents,
        sections=sections,
    )


@require_safe
def api_documentation(request: HttpRequest) -> HttpResponse:
    """``/help/api``: every operation with its parameters."""
    del request
    return HttpResponse(render(dict(api.get_openapi_schema()), reverse(f"{api.urls_namespace}:openapi-json")))
