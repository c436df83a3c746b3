"""YAML to a tree of plain nodes that know where they were written, within limits.

The tree is built from PyYAML's events, so that neither depth nor aliases can cost more than the limits say. Like
yaml.v2, which Distribution uses: YAML 1.1, only the first document, a repeated key's last value counts, ``<<`` merges.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from matou.config.findings import ConfigurationError, Finding, Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matou.config.findings import Findings

LARGEST = 1 << 20  # bytes of a file or an environment variable
DEEPEST = 64  # nested nodes
MOST_NODES = 20_000  # after aliases are expanded
TAG = "tag:yaml.org,2002:"
TAGGED = "a value has a tag (!), which is not used here; put quotes around a text that begins with !"
SCALAR_TAGS = frozenset(
    TAG + name for name in ("str", "null", "bool", "int", "float", "binary", "timestamp", "merge", "value")
)
# Where PyYAML quotes more than a character of the text, which may be a secret.
_QUOTED = re.compile(r"(?<=tag handle ).*")


@dataclass(slots=True)
class Scalar:
    """A single value.

    Attributes:
        origin: where it was written.
        tag: what YAML takes it for: str, null, bool, int, float, ...
        text: as written.
    """

    origin: Origin
    tag: str
    text: str


@dataclass(slots=True)
class Mapping:
    """Keys and values; ``key_origins`` says where each key was written."""

    origin: Origin
    entries: dict[str, Node] = field(default_factory=dict)
    key_origins: dict[str, Origin] = field(default_factory=dict)


@dataclass(slots=True)
class Sequence:
    """A list."""

    origin: Origin
    items: list[Node] = field(default_factory=list)


Node = Scalar | Mapping | Sequence


def is_null(node: Node) -> bool:
    """Return whether a node is YAML's null: nothing, ``~`` or ``null``."""
    return isinstance(node, Scalar) and node.tag == "null"


def read_yaml(data: bytes, origin: Origin, findings: Findings) -> Node:
    """Return the first document; an empty one is null.

    Args:
        data: UTF-8, or UTF-16 with a byte order mark.
        origin: of the first line; line 0 for a source without lines.
        findings: takes warnings: repeated keys, further documents.

    Raises:
        ConfigurationError: it is no YAML, or is beyond the limits.
    """
    if len(data) > LARGEST:
        raise _error(origin, f"is larger than {LARGEST} bytes; this is no registry configuration")
    text = _decoded(data, origin)
    try:
        return _Composer(text, origin, findings).compose()
    except ConfigurationError:
        raise
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        column = error.problem_mark.column + 1 if error.problem_mark else 1
        what = " ".join(filter(None, (error.context, error.problem)))
        what = _QUOTED.sub("...", what)
        raise _error(_at(origin, line), f"is not valid YAML: {what}, in column {column}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _error(_at(origin, line), f"has the control character U+{error.character:04X}; expected text") from error
    except ValueError as error:
        # PyYAML's scanner on numbers that Python refuses, such as an escape beyond Unicode or %YAML with many digits.
        raise _error(origin, f"is not valid YAML: {error}") from error


def _decoded(data: bytes, origin: Origin) -> str:
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _error(_at(origin, line), f"is no UTF-8 text: {error.reason}; expected UTF-8 or UTF-16") from error


def _at(origin: Origin, line: int) -> Origin:
    return Origin(origin.source, line) if origin.line else origin


def _error(origin: Origin, text: str) -> ConfigurationError:
    return ConfigurationError((Finding(origin, text),))


class _Composer:
    def __init__(self, text: str, origin: Origin, findings: Findings) -> None:
        loader = yaml.SafeLoader(text)
        # PyYAML's stubs leave these without types.
        self._next: Callable[[], yaml.Event] = loader.get_event
        self._peek: Callable[[], yaml.Event] = loader.peek_event
        self._is_next: Callable[[type[yaml.Event]], bool] = loader.check_event
        self._resolve: Callable[[type[yaml.Node], str, tuple[bool, bool]], str] = loader.resolve
        self._dispose: Callable[[], None] = loader.dispose
        self._origin = origin
        self._findings = findings
        self._anchors: dict[str, tuple[Node, int] | None] = {}
        self._count = 0

    def compose(self) -> Node:
        try:
            self._next()  # the start of the stream
            if self._is_next(yaml.StreamEndEvent):
                return Scalar(self._origin, "null", "")
            self._next()  # the start of the document
            node = self._node(0)
            self._next()  # the end of the document
            if not self._is_next(yaml.StreamEndEvent):
                self._findings.warn(
                    self._place(self._peek()), "what follows is another YAML document, which is not read"
                )
            return node
        finally:
            self._dispose()

    def _place(self, event: yaml.Event) -> Origin:
        mark = event.start_mark
        return _at(self._origin, mark.line + 1 if mark else 1)

    def _node(self, depth: int) -> Node:
        event = self._next()
        origin = self._place(event)
        if depth > DEEPEST:
            raise _error(origin, f"is nested more than {DEEPEST} levels deep")
        self._add(origin, 1)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor, origin)
        before = self._count - 1
        anchor: str | None = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node: Node = self._scalar(event, origin)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, origin, depth)
        else:
            node = self._mapping(event, origin, depth)
        if anchor is not None:
            self._anchors[anchor] = (node, self._count - before)
        return node

    def _add(self, origin: Origin, count: int) -> None:
        self._count += count
        if self._count > MOST_NODES:
            raise _error(origin, f"holds more than {MOST_NODES} values, counting each alias as what it stands for")

    def _alias(self, anchor: str | None, origin: Origin) -> Node:
        if anchor is None or anchor not in self._anchors:
            raise _error(origin, "an alias (*) has no anchor (&) above; put quotes around a text that begins with *")
        known = self._anchors[anchor]
        if known is None:
            raise _error(origin, "an alias (*) stands for something that it is a part of; remove it")
        node, size = known
        self._add(origin, size)
        return _copy(node)

    def _scalar(self, event: yaml.ScalarEvent, origin: Origin) -> Scalar:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag not in SCALAR_TAGS:
            raise _error(origin, TAGGED)
        return Scalar(origin, tag.removeprefix(TAG), event.value)

    def _sequence(self, event: yaml.SequenceStartEvent, origin: Origin, depth: int) -> Sequence:
        if event.tag not in (None, "!", TAG + "seq"):
            raise _error(origin, TAGGED)
        sequence = Sequence(origin)
        while not self._is_next(yaml.SequenceEndEvent):
            sequence.items.append(self._node(depth + 1))
        self._next()
        return sequence

    def _mapping(self, event: yaml.Event, origin: Origin, depth: int) -> Mapping:
        if not isinstance(event, yaml.MappingStartEvent) or event.tag not in (None, "!", TAG + "map"):
            raise _error(origin, TAGGED)
        mapping = Mapping(origin)
        merged: list[Mapping] = []
        while not self._is_next(yaml.MappingEndEvent):
            key, value = self._node(depth + 1), self._node(depth + 1)
            if not isinstance(key, Scalar):
                raise _error(key.origin, "a list or a map is used as a key; expected a name")
            if key.tag == "merge":
                merged.extend(_merged(value))
                continue
            if key.text in mapping.entries:
                earlier = mapping.key_origins[key.text]
                where = f" on line {earlier.line}" if earlier.line else ""
                self._findings.warn(
                    key.origin, f"the key {key.text!r} is repeated; its earlier value{where} is not used"
                )
            mapping.entries[key.text] = value
            mapping.key_origins[key.text] = key.origin
        self._next()
        for other in merged:
            for name, value in other.entries.items():
                if name not in mapping.entries:
                    mapping.entries[name] = value
                    mapping.key_origins[name] = other.key_origins[name]
        return mapping


def _merged(value: Node) -> Iterator[Mapping]:
    for item in value.items if isinstance(value, Sequence) else [value]:
        if not isinstance(item, Mapping):
            raise _error(item.origin, "<< merges something that has no keys; expected an alias of a map")
        yield item


def _copy(node: Node) -> Node:
    # An override by the environment changes one place only.
    if isinstance(node, Scalar):
        return Scalar(node.origin, node.tag, node.text)
    if isinstance(node, Sequence):
        return Sequence(node.origin, [_copy(item) for item in node.items])
    entries = {name: _copy(value) for name, value in node.entries.items()}
    return Mapping(node.origin, entries, dict(node.key_origins))
