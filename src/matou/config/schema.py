"""Sections of a configuration as dataclasses whose fields say all about each key: type, default, meaning and status.

The fields are the one table that reading, environment variables, hints and the reference page are made from.
"""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from matou.config.containers import ListOf
from matou.config.kinds import Kind, Mismatch, describe
from matou.config.yaml_lines import Mapping, Node, Scalar, is_null

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from matou.config.kinds import Place

T = TypeVar("T")
METADATA = "setting"
LONGEST_KEY = 60  # characters of an unknown key that a message repeats


@dataclass(frozen=True, slots=True)
class Effective:
    """The key does what its description says."""


@dataclass(frozen=True, slots=True)
class NoEffect:
    """The key is read and checked, and changes nothing.

    Attributes:
        reason: why, to follow "because".
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The key asks for something that Matou does not have yet: it does not start.

    Attributes:
        what: is asked for.
        instead: what to do.
        when: in words.
        applies: whether a value asks for it.
    """

    what: str
    instead: str
    when: str = "it is set"
    applies: Callable[[Any], bool] = bool


@dataclass(frozen=True, slots=True)
class Checked:
    """The key is read and checked, and would be used by something that is refused.

    Attributes:
        of: the key that asks for it.
    """

    of: str


Status = Effective | NoEffect | Refused | Checked
EFFECTIVE = Effective()


class Settings:
    """What all sections derive from.

    Attributes:
        INLINED: parts of environment variables that may stand before the section's own, and mean nothing.
    """

    __slots__ = ()
    INLINED: ClassVar[frozenset[str]] = frozenset()

    def verify(self, node: Mapping, place: Place) -> Self:  # noqa: ARG002 -- for those that override it
        """Check what concerns several keys; return the section as it shall be."""
        return self


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a section.

    Attributes:
        attribute: of the dataclass.
        key: in YAML.
        variable: its part of an environment variable: Distribution's name of the Go field, in upper case.
        kind: of the value.
        doc: what it means.
        status: what Matou does with it.
        secret: never show the value.
        required: must be there when its section is.
        default: when absent; a section's is the section with all defaults, or None.
    """

    attribute: str
    key: str
    variable: str
    kind: Kind[Any]
    doc: str
    status: Status
    secret: bool
    required: bool
    default: Any


@dataclass(frozen=True, slots=True)
class _Metadata:
    kind: Kind[Any]
    doc: str
    status: Status
    key: str
    go: str
    secret: bool
    required: bool


def setting(
    kind: Kind[T],
    default: T,
    doc: str,
    *,
    status: Status = EFFECTIVE,
    key: str = "",
    go: str = "",
    secret: bool = False,
    required: bool = False,
) -> T:
    """Declare a key of a section, as a dataclass field.

    Args:
        kind: of its value.
        default: when it is absent or null.
        doc: what it means.
        status: what Matou does with it.
        key: in YAML, if it differs from the field.
        go: Distribution's Go field, if it differs from the key.
        secret: never show the value.
        required: must be there when its section is.
    """
    metadata = {METADATA: _Metadata(kind, doc, status, key, go, secret, required)}
    if isinstance(default, dict):
        field: Any = dataclasses.field(default_factory=dict, metadata=metadata)
    else:
        field = dataclasses.field(default=default, metadata=metadata)
    return field  # type: ignore[no-any-return]


def section(
    cls: type[S], doc: str, *, status: Status = EFFECTIVE, key: str = "", go: str = "", free: bool = False
) -> S:
    """Declare a section that has its defaults when it is absent.

    Args:
        cls: of the section.
        doc: what it is about.
        status: what Matou does with it.
        key: in YAML, if it differs from the field.
        go: Distribution's Go field, if it differs from the key.
        free: see ``Section``.
    """
    metadata = {METADATA: _Metadata(Section(cls, free=free), doc, status, key, go, secret=False, required=False)}
    field: Any = dataclasses.field(default_factory=cls, metadata=metadata)
    return field  # type: ignore[no-any-return]


def optional(cls: type[S], doc: str, *, status: Status = EFFECTIVE, free: bool = False) -> S | None:
    """Declare a section whose presence means something, even when it is empty; None when it is absent."""
    kind = Section(cls, takes_null=True, free=free)
    metadata = {METADATA: _Metadata(kind, doc, status, "", "", secret=False, required=False)}
    field: Any = dataclasses.field(default=None, metadata=metadata)
    return field  # type: ignore[no-any-return]


def settings_of(cls: type[Settings]) -> tuple[Setting, ...]:
    """Return the keys of a section in the order of its declaration."""
    found: list[Setting] = []
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        metadata = field.metadata.get(METADATA)
        if metadata is None:
            continue
        key = metadata.key or field.name
        factory = field.default_factory
        found.append(
            Setting(
                attribute=field.name,
                key=key,
                variable=(metadata.go or key.replace("_", "")).upper(),
                kind=metadata.kind,
                doc=metadata.doc,
                status=metadata.status,
                secret=metadata.secret,
                required=metadata.required,
                default=field.default if factory is dataclasses.MISSING else factory(),
            )
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Section(Kind[S], Generic[S]):
    """A map with known keys.

    Attributes:
        cls: of the section.
        takes_null: an empty section is there.
        free: a map in Distribution, not a struct: a word stands for a map with it as the only key, and the environment
            may create keys; see ``environment``.
    """

    cls: type[S]
    takes_null: bool = False
    free: bool = False

    @property
    def expected(self) -> str:
        keys = [known.key for known in settings_of(self.cls)]
        shown = ", ".join(keys[:6]) + (", ..." if len(keys) > 6 else "")  # noqa: PLR2004 -- enough to recognise it
        return f"a map with keys such as {shown}" if keys else "nothing below it"

    @property
    def name(self) -> str:
        return "section"

    def read(self, node: Node, place: Place) -> S:
        if self.free and isinstance(node, Scalar) and node.tag == "str":
            word = Scalar(node.origin, "null", "")
            node = Mapping(node.origin, {node.text: word}, {node.text: node.origin})
        if is_null(node):
            node = Mapping(node.origin)
        if not isinstance(node, Mapping):
            # Not its text: what stands there by mistake may be a secret.
            found = "a single value" if isinstance(node, Scalar) else describe(node)
            raise Mismatch(f"is {found}; expected {self.expected}")
        known = settings_of(self.cls)
        values = {each.attribute: value for each in known for value in _read(each, node, place)}
        _warn_of_unknown(node, known, place)
        return self.cls(**values).verify(node, place)

    def show(self, value: Any) -> str:
        return str(value)


def _read(each: Setting, node: Mapping, place: Place) -> tuple[Any, ...]:
    """Return the value of a key, or nothing where the default stands."""
    at = dataclasses.replace(place.child(each.key), secret=each.secret or place.secret)
    found = node.entries.get(each.key)
    if found is None or (is_null(found) and not getattr(each.kind, "takes_null", False)):
        if each.required:
            at.error(node.origin if found is None else found.origin, f"is missing; expected {each.kind.expected}")
        return ()
    try:
        value = each.kind.read(found, at)
    except Mismatch as error:
        at.error(found.origin, str(error))
        return ()
    if isinstance(each.status, Refused) and each.status.applies(value):
        at.error(
            node.key_origins.get(each.key, found.origin),
            f"is not supported by this version of Matou ({each.status.what}); {each.status.instead}",
        )
    return (value,)


def _warn_of_unknown(node: Mapping, known: tuple[Setting, ...], place: Place) -> None:
    keys = [each.key for each in known]
    for key in node.entries:
        if key in keys:
            continue
        # Quadratic in the length: no key is that long.
        name = key[:LONGEST_KEY]
        local = difflib.get_close_matches(name.lower(), keys, n=1, cutoff=0.7)
        near = place.child(local[0]).key if local else place.elsewhere(name.lower())
        hint = f"; did you mean {near}?" if near else ""
        where = f" in {place.key}" if place.key else ""
        shown = repr(name) if name == key else f"{name!r}..."
        place.findings.warn(node.key_origins[key], f"unknown key {shown}{where}, which is ignored{hint}")


def section_of(kind: Kind[Any]) -> type[Settings] | None:
    """Return the section that a kind is, or is a list of."""
    inner = kind.kind if isinstance(kind, ListOf) else kind
    return inner.cls if isinstance(inner, Section) else None


def walk(cls: type[Settings], prefix: str = "", status: Status = EFFECTIVE) -> Iterator[tuple[str, Setting, Status]]:
    """Yield every key below a section: its path, itself, and its status, which it may have from above."""
    for each in settings_of(cls):
        path = f"{prefix}.{each.key}" if prefix else each.key
        own = status if isinstance(each.status, Effective) else each.status
        yield path, each, own
        below = section_of(each.kind)
        if below is not None:
            inherited: Status = Checked(path) if isinstance(own, Refused) else own
            yield from walk(below, path + "[]" * isinstance(each.kind, ListOf), inherited)


def find_elsewhere(cls: type[Settings], key: str) -> str | None:
    """Return the path of the key that somebody may have meant who put it at the wrong place, or None."""
    paths: dict[str, str] = {}
    for path, each, _ in walk(cls):
        paths.setdefault(each.key, path)
    near = difflib.get_close_matches(key, paths, n=1, cutoff=0.8)
    return paths[near[0]] if near else None
