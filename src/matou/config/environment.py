"""``REGISTRY_*``: environment variables that override keys of a configuration.

Source: Distribution ``configuration/parser.go``. Variables are applied in the order of their names, so
``REGISTRY_STORAGE`` comes before ``REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY``; each value is YAML.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from matou.config.containers import ListOf, MapOf
from matou.config.findings import Origin
from matou.config.schema import Section, settings_of
from matou.config.yaml_lines import Mapping, Node, Scalar, Sequence, is_null, read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping as Environ

    from matou.config.findings import Findings
    from matou.config.kinds import Kind

PREFIX = "REGISTRY_"
OURS = frozenset(("REGISTRY_CONFIGURATION_PATH",))  # read by the command line
LONGEST_INDEX = 6  # digits


class Unrecognised(Exception):  # noqa: N818 -- what the variable is
    """No key belongs to a variable; the text is a hint, or empty."""


class WrongIndex(Exception):  # noqa: N818 -- what is wrong
    """A variable names an item that a list does not have."""


def override(tree: Node, root: Section[Any], environ: Environ[str, str], findings: Findings) -> Node:
    """Return the tree with what the environment says; ``tree`` itself is changed.

    Args:
        tree: of the configuration file.
        root: the section of the whole configuration.
        environ: the environment; only names that begin with ``REGISTRY_`` count.
        findings: takes errors and warnings.

    Raises:
        ConfigurationError: a value is no YAML.
    """
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in OURS:
            continue
        origin = Origin(f"environment variable {name}")
        value = read_yaml(environ[name].encode("utf-8", "surrogatepass"), origin, findings)
        path = name.removeprefix(PREFIX).split("_")
        try:
            if path[0] == "VERSION":
                raise Unrecognised("; the version cannot be overridden")
            tree = _set(tree, root, path, value)
        except Unrecognised as hint:
            findings.warn(origin, f"ignoring unrecognized environment variable{hint}")
        except WrongIndex as error:
            findings.error(origin, f"parsing environment variable: {error}")
    return tree


def _set(node: Node, kind: Kind[Any] | None, path: list[str], value: Node) -> Node:
    """Return a node with a value put at a path below it."""
    if not path:
        return value
    if isinstance(kind, Section):
        return _set_in_map(node, kind, path, value) if kind.free else _set_in_section(node, kind, path, value)
    if isinstance(kind, ListOf) or (kind is None and isinstance(node, Sequence)):
        return _set_in_list(node, kind.kind if isinstance(kind, ListOf) else None, path, value)
    if isinstance(kind, MapOf) or isinstance(node, Mapping) or (kind is None and is_null(node)):
        return _set_in_map(node, kind, path, value)
    raise Unrecognised


def _set_in_section(node: Node, kind: Section[Any], path: list[str], value: Node) -> Node:
    if len(path) > 1 and path[0] in kind.cls.INLINED:
        return _set_in_section(node, kind, path[1:], value)
    known = {each.variable: each for each in settings_of(kind.cls)}
    each = known.get(path[0])
    if each is None:
        near = difflib.get_close_matches(path[0], known, n=1, cutoff=0.8)
        raise Unrecognised(f"; {path[0]} is not known here, did you mean {near[0]}?" if near else "")
    section = _as_mapping(node, value)
    if section is None:
        return node
    present = section.entries.get(each.key)
    below = Scalar(value.origin, "null", "") if present is None else present
    section.entries[each.key] = _set(below, each.kind, path[1:], value)
    section.key_origins.setdefault(each.key, value.origin)
    return section


def _set_in_map(node: Node, kind: Kind[Any] | None, path: list[str], value: Node) -> Node:
    if isinstance(node, Scalar) and node.tag == "str" and isinstance(kind, Section):
        # ``storage: inmemory``: a word for a map.
        node = Mapping(node.origin, {node.text: Scalar(node.origin, "null", "")}, {node.text: node.origin})
    mapping = _as_mapping(node, value)
    if mapping is None:
        return node
    words = _words_of_key(kind, path)
    key = "_".join(path[:words]).lower()
    if len(path) > words:
        key = next((name for name in mapping.entries if name.upper() == key.upper()), key)
    below = mapping.entries.get(key) or Scalar(value.origin, "null", "")
    mapping.entries[key] = _set(below, _kind_below(kind, key), path[words:], value)
    mapping.key_origins.setdefault(key, value.origin)
    return mapping


def _words_of_key(kind: Kind[Any] | None, path: list[str]) -> int:
    """Return how many parts of the path make the next key: more than one for ``S3_V2``, as in GitLab's fork."""
    known = {each.key for each in settings_of(kind.cls)} if isinstance(kind, Section) else set()
    longest = max((key.count("_") for key in known), default=0) + 1
    for words in range(min(longest, len(path)), 1, -1):
        if "_".join(path[:words]).lower() in known:
            return words
    return 1


def _kind_below(kind: Kind[Any] | None, key: str) -> Kind[Any] | None:
    if isinstance(kind, MapOf):
        return kind.kind if isinstance(kind.kind, (ListOf, Section)) else None
    if isinstance(kind, Section):
        below = next((each.kind for each in settings_of(kind.cls) if each.key == key), None)
        if isinstance(below, Section):
            return Section(below.cls, free=True)
        return below if isinstance(below, (ListOf, MapOf)) else None
    return None


def _set_in_list(node: Node, kind: Kind[Any] | None, path: list[str], value: Node) -> Node:
    if not isinstance(node, Sequence) and not is_null(node):
        return node  # which the file must not say, and will be reported
    sequence = node if isinstance(node, Sequence) else Sequence(value.origin)
    index = path[0]
    if not index.isascii() or not index.isdigit() or len(index) > LONGEST_INDEX:
        raise WrongIndex(f"non-numeric index: {index}")
    number = int(index)
    if number > len(sequence.items):
        raise WrongIndex(f"undefined index: {index}; the list has {len(sequence.items)} items")
    if number == len(sequence.items):
        sequence.items.append(Scalar(value.origin, "null", ""))
    sequence.items[number] = _set(sequence.items[number], kind, path[1:], value)
    return sequence


def _as_mapping(node: Node, value: Node) -> Mapping | None:
    """Return the node, a new map where there is nothing, or None where the file has what will be reported."""
    if isinstance(node, Mapping):
        return node
    return Mapping(value.origin) if is_null(node) else None
