"""The kinds of values that hold others: lists, maps with any names, and whatever YAML can say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from matou.config.kinds import FLOAT, TRUE, Kind, Mismatch, Place, mismatch, to_integer
from matou.config.yaml_lines import Mapping as MappingNode
from matou.config.yaml_lines import Node, Scalar, Sequence, is_null

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ListOf(Kind[tuple[T, ...]]):
    """A list of values of one kind."""

    kind: Kind[T]

    @property
    def expected(self) -> str:
        return f"a list, each item {self.kind.expected}"

    @property
    def name(self) -> str:
        return f"list of {self.kind.name}"

    def read(self, node: Node, place: Place) -> tuple[T, ...]:
        if not isinstance(node, Sequence):
            raise mismatch(node, place, self.expected)
        values: list[T] = []
        for index, item in enumerate(node.items):
            try:
                values.append(self.kind.read(item, place.item(index)))
            except Mismatch as error:
                place.item(index).error(item.origin, str(error))
        return tuple(values)

    def show(self, value: Any) -> str:
        return "[" + ", ".join(self.kind.show(item) for item in value) + "]"


@dataclass(frozen=True, slots=True)
class MapOf(Kind[Mapping[str, T]]):
    """A map from any name to values of one kind.

    Attributes:
        kind: of the values.
        check: raises ValueError for a name that will not do.
    """

    kind: Kind[T]
    check: Callable[[str], object] | None = None

    @property
    def expected(self) -> str:
        return f"a map, each value {self.kind.expected}"

    @property
    def name(self) -> str:
        return f"map to {self.kind.name}"

    def read(self, node: Node, place: Place) -> Mapping[str, T]:
        if not isinstance(node, MappingNode):
            raise mismatch(node, place, self.expected)
        values: dict[str, T] = {}
        for name, item in node.entries.items():
            if is_null(item) and not isinstance(self.kind, Anything):
                continue
            try:
                if self.check is not None:
                    self.check(name)
                values[name] = self.kind.read(item, place.child(name))
            except Mismatch as error:
                place.child(name).error(item.origin, str(error))
            except ValueError as error:
                place.error(node.key_origins[name], str(error))
        return values

    def show(self, value: Any) -> str:
        return "{" + ", ".join(f"{name}: {self.kind.show(item)}" for name, item in value.items()) + "}"


@dataclass(frozen=True, slots=True)
class Anything(Kind[Any]):
    """Whatever YAML can say, as plain Python values."""

    @property
    def expected(self) -> str:
        return "any value"

    @property
    def name(self) -> str:
        return "any"

    def read(self, node: Node, place: Place) -> Any:
        if isinstance(node, MappingNode):
            return {name: self.read(item, place.child(name)) for name, item in node.entries.items()}
        if isinstance(node, Sequence):
            return tuple(self.read(item, place.item(index)) for index, item in enumerate(node.items))
        return None if is_null(node) else _plain(node)


def _plain(node: Scalar) -> bool | int | float | str:
    if node.tag == "bool":
        return node.text.lower() in TRUE
    number = to_integer(node.text) if node.tag == "int" else None
    if number is not None:
        return number
    if node.tag == "float" and FLOAT.fullmatch(node.text):
        return float(node.text.replace("_", ""))
    return node.text
