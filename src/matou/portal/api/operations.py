"""What an OpenAPI document says of each operation, in words for the reference pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of an operation.

    Attributes:
        name: As it is sent.
        kind: Its type in a word or two; for a choice what there is.
        required: Whether it must be sent.
        meaning: A sentence.
    """

    name: str
    kind: str
    required: bool
    meaning: str


@dataclass(frozen=True, slots=True)
class Described:
    """An operation.

    Attributes:
        name: Of its own among all operations.
        method: In capitals.
        path: With its variable parts in braces.
        summary: A few words.
        description: Sentences.
        arguments: Those of the path first.
        status: Of its success.
        answer: Type of what it answers; empty when that is nothing.
        credentials: The headers that it takes; an empty one when it takes callers without.
    """

    name: str
    method: str
    path: str
    summary: str
    description: str
    arguments: tuple[Argument, ...]
    status: str
    answer: str
    credentials: tuple[str, ...]


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a word or two, for a table's cell."""
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[-1])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(option) for option in schema["anyOf"] if option.get("type") != "null"))
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type", "any"))


def _fields(schema: dict[str, Any], components: dict[str, Any]) -> Iterator[Argument]:
    if "$ref" in schema:
        schema = components[schema["$ref"].rsplit("/", 1)[-1]]
    for option in schema.get("anyOf", ()):
        yield from _fields(option, components)
    required = schema.get("required", ())
    for name, detail in schema.get("properties", {}).items():
        yield Argument(name, _kind(detail), name in required, detail.get("description", ""))


def _arguments(operation: dict[str, Any], components: dict[str, Any]) -> Iterator[Argument]:
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        meaning = parameter.get("description") or schema.get("description", "")
        yield Argument(parameter["name"], _kind(schema), bool(parameter.get("required")), meaning)
    body = operation.get("requestBody")
    if body:
        yield from _fields(body["content"]["application/json"]["schema"], components)


def _described(method: str, path: str, operation: dict[str, Any], document: dict[str, Any]) -> Described:
    status, response = next(iter(operation["responses"].items()))
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    schemes = document["components"]["securitySchemes"]
    headers = (next(iter(way), "") for way in operation["security"])
    return Described(
        name=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        description=operation.get("description", ""),
        arguments=tuple(_arguments(operation, document["components"]["schemas"])),
        status=str(status),
        answer=_kind(schema) if schema else "",
        credentials=tuple(header and schemes[header].get("name", "Authorization") for header in headers),
    )


def by_subject(document: dict[str, Any]) -> dict[str, list[Described]]:
    """The operations of an OpenAPI document (3.1), by their first tag, in the document's order."""
    subjects: dict[str, list[Described]] = {}
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                subject = (operations[method].get("tags") or ["Other"])[0]
                subjects.setdefault(subject, []).append(_described(method, path, operations[method], document))
    return subjects


def entities_of(document: dict[str, Any]) -> dict[str, list[Argument]]:
    """The entities that operations of an OpenAPI document (3.1) answer with, and those in them; with their fields."""
    components = document["components"]["schemas"]
    found: dict[str, list[Argument]] = {}
    waiting = [
        name
        for operations in document["paths"].values()
        for operation in operations.values()
        for response in operation["responses"].values()
        for name in _references(response)
    ]
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = list(_fields(components[name], components))
            waiting.extend(_references(components[name]))
    return dict(sorted(found.items()))


def _references(schema: object) -> Iterator[str]:
    """The names of the schemas that a schema refers to."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref":
                yield value.rsplit("/", 1)[-1]
            else:
                yield from _references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _references(item)
