"""The types that values of a configuration have: each reads a node, and says in words what it expects.

Source: yaml.v2's decoding, as Distribution uses it: text takes any single value as written, a whole number may be a
duration in nanoseconds, null is the same as nothing.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from matou.config.durations import NANOSECONDS, format_duration, parse_duration
from matou.config.yaml_lines import Mapping as MappingNode
from matou.config.yaml_lines import Node, Scalar, Sequence

if TYPE_CHECKING:
    from collections.abc import Callable

    from matou.config.findings import Findings, Origin

T_co = TypeVar("T_co", covariant=True)
LONGEST_QUOTE = 60  # characters of a wrong value that a message repeats
TRUE = frozenset(("y", "yes", "true", "on"))
FALSE = frozenset(("n", "no", "false", "off"))
INTEGER = re.compile(
    r"[-+]?(?:0x[0-9a-f_]{1,20}|0b[01_]{1,70}|0o?[0-7_]{1,30}|[0-9][0-9_]{0,30})", re.ASCII | re.IGNORECASE
)
WHOLE = re.compile(r"([-+]?[0-9]{1,18})\.0{1,18}", re.ASCII)
FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]{0,40})?\.?[0-9]{0,40}(?:e[-+]?[0-9]{1,3})?", re.ASCII | re.IGNORECASE)


class Mismatch(ValueError):  # noqa: N818 -- what is wrong
    """A node is not of the kind: the text says what was found and expected, without the key."""


def _nowhere(_key: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands.

    Attributes:
        key: dotted path from the top, such as ``http.tls.clientcas[0]``.
        findings: takes what is wrong below.
        secret: the value must not be repeated.
        elsewhere: finds the path of a key that was put at the wrong place.
    """

    key: str
    findings: Findings
    secret: bool = False
    elsewhere: Callable[[str], str | None] = _nowhere

    def child(self, name: str) -> Place:
        """Return the place of a key below."""
        return replace(self, key=f"{self.key}.{name}" if self.key else name)

    def item(self, index: int) -> Place:
        """Return the place of an item of a list."""
        return replace(self, key=f"{self.key}[{index}]")

    def error(self, origin: Origin, text: str) -> None:
        """Note an error about this place."""
        self.findings.error(origin, f"{self.key or 'the configuration'} {text}")

    def warn(self, origin: Origin, text: str) -> None:
        """Note a warning about this place."""
        self.findings.warn(origin, f"{self.key or 'the configuration'} {text}")


class Kind(ABC, Generic[T_co]):
    """A type of values."""

    @property
    @abstractmethod
    def expected(self) -> str:
        """What is expected, to follow "expected"."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The type in a word or two, for the reference."""

    @abstractmethod
    def read(self, node: Node, place: Place) -> T_co:
        """Return a node's value; problems below it are noted, not raised.

        Raises:
            Mismatch: the node itself is not of the kind.
        """

    def show(self, value: Any) -> str:
        """Return a value as YAML would have it, for the reference."""
        return str(value)


def mismatch(node: Node, place: Place, expected: str) -> Mismatch:
    """Return the error for a node that is not what was expected."""
    return Mismatch(f"is {describe(node, secret=place.secret)}; expected {expected}")


def describe(node: Node, *, secret: bool = False) -> str:
    """Return what was found, in a few words."""
    if isinstance(node, MappingNode):
        return "a map"
    if isinstance(node, Sequence):
        return "a list"
    if node.tag == "null":
        return "empty"
    if secret:
        return "a value of another form"
    text = repr(node.text)
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}..."


@dataclass(frozen=True, slots=True)
class Text(Kind[str]):
    """Any single value, as written.

    Attributes:
        check: raises ValueError with what is wrong, such as "is no address; expected host:port".
        what: is expected.
    """

    check: Callable[[str], object] | None = None
    what: str = "a text"

    @property
    def expected(self) -> str:
        return self.what

    @property
    def name(self) -> str:
        return "text"

    def read(self, node: Node, place: Place) -> str:
        if not isinstance(node, Scalar) or node.tag in ("null", "binary"):
            raise mismatch(node, place, self.expected)
        if self.check is not None and node.text:
            try:
                self.check(node.text)
            except ValueError as error:
                raise mismatch(node, place, f"{self.expected}: {error}" if str(error) else self.expected) from error
        return node.text

    def show(self, value: Any) -> str:
        return value or '""'


@dataclass(frozen=True, slots=True)
class Choice(Kind[str]):
    """One of some words; letter case does not count where Distribution says so.

    Attributes:
        words: what is allowed.
        fold: take upper case for lower case.
        aliases: further words, and what they stand for.
    """

    words: tuple[str, ...]
    fold: bool = False
    aliases: tuple[tuple[str, str], ...] = ()

    @property
    def expected(self) -> str:
        return "one of " + ", ".join((*self.words, *(alias for alias, _ in self.aliases)))

    @property
    def name(self) -> str:
        return " / ".join(f"`{word}`" for word in (*self.words, *(alias for alias, _ in self.aliases)))

    def read(self, node: Node, place: Place) -> str:
        if not isinstance(node, Scalar):
            raise mismatch(node, place, self.expected)
        word = node.text.lower() if self.fold else node.text
        word = dict(self.aliases).get(word, word)
        if word not in self.words:
            raise mismatch(node, place, self.expected)
        return word

    def show(self, value: Any) -> str:
        return value or '""'


@dataclass(frozen=True, slots=True)
class Boolean(Kind[bool]):
    """Yes or no; ``"true"`` in quotes too, because templates write it."""

    @property
    def expected(self) -> str:
        return "true or false"

    @property
    def name(self) -> str:
        return "boolean"

    def read(self, node: Node, place: Place) -> bool:
        if isinstance(node, Scalar):
            word = node.text.lower()
            if word in TRUE:
                return True
            if word in FALSE:
                return False
        raise mismatch(node, place, self.expected)

    def show(self, value: Any) -> str:
        return str(value).lower()


@dataclass(frozen=True, slots=True)
class Integer(Kind[int]):
    """A whole number between two bounds."""

    least: int = -(2**63)
    most: int = 2**63 - 1

    @property
    def expected(self) -> str:
        if self.least < -(2**62):
            return "a whole number"
        if self.most > 2**62:
            return f"a whole number from {self.least} up"
        return f"a whole number from {self.least} to {self.most}"

    @property
    def name(self) -> str:
        return "integer"

    def read(self, node: Node, place: Place) -> int:
        value = to_integer(node.text) if isinstance(node, Scalar) else None
        if value is None or not self.least <= value <= self.most:
            raise mismatch(node, place, self.expected)
        return value


def to_integer(text: str) -> int | None:
    """Return the whole number that YAML 1.1 sees in a text, such as 5, 0x10, 1_000 or 5.0, or None."""
    if INTEGER.fullmatch(text) is None:
        whole = WHOLE.fullmatch(text)
        return int(whole[1]) if whole else None
    digits = text.replace("_", "").lower()
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    try:
        if digits.startswith(("0x", "0b", "0o")):
            return sign * int(digits, 0)
        return sign * int(digits, 8 if len(digits) > 1 and digits.startswith("0") else 10)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Decimal(Kind[float]):
    """A number, not less than 0."""

    @property
    def expected(self) -> str:
        return "a number from 0 up"

    @property
    def name(self) -> str:
        return "number"

    def read(self, node: Node, place: Place) -> float:
        if not isinstance(node, Scalar) or FLOAT.fullmatch(node.text) is None:
            raise mismatch(node, place, self.expected)
        try:
            value = float(node.text.replace("_", ""))
        except ValueError as error:
            raise mismatch(node, place, self.expected) from error
        if not 0 <= value < float("inf"):
            raise mismatch(node, place, self.expected)
        return value

    def show(self, value: Any) -> str:
        return f"{value:g}"


@dataclass(frozen=True, slots=True)
class Duration(Kind[float]):
    """A duration of Go, in seconds; a whole number counts nanoseconds.

    Attributes:
        bare: whether a whole number will do.
        negative: whether ``-1`` and the like have a meaning.
    """

    bare: bool = True
    negative: bool = False

    @property
    def expected(self) -> str:
        return "a duration such as 30s, 1h30m or 500ms"

    @property
    def name(self) -> str:
        return "duration"

    def read(self, node: Node, place: Place) -> float:
        if not isinstance(node, Scalar):
            raise mismatch(node, place, self.expected)
        number = to_integer(node.text)
        if number is not None and number != 0:
            if not self.bare:
                raise mismatch(node, place, f"{self.expected}, with its unit")
            if 0 < number < NANOSECONDS:
                place.warn(node.origin, f"is {node.text}, which counts nanoseconds; write {node.text}s for seconds")
            seconds = number / NANOSECONDS
        else:
            try:
                seconds = parse_duration(node.text)
            except ValueError as error:
                raise mismatch(node, place, self.expected) from error
        if seconds < 0 and not self.negative:
            raise mismatch(node, place, f"{self.expected}, not less than 0")
        return seconds

    def show(self, value: Any) -> str:
        return format_duration(value)
