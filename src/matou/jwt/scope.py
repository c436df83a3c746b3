"""The scopes with which clients ask for access: ``repository:group/image:pull,push``.

Source: Docker's "Token Scope Documentation" (resource scope grammar).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_SCOPES = 200  # of one request; a push that mounts from many repositories asks for a few dozen
MAX_SCOPE_LENGTH = 4096

_TYPE = re.compile(r"([a-z0-9]+)(?:\(([a-z0-9]+)\))?")
_NAME = re.compile(r"[A-Za-z0-9._~/:\[\]-]+")
_ACTION = re.compile(r"[a-z]+|\*")


class ScopeError(ValueError):
    """A scope breaks the grammar."""


class Scope(NamedTuple):
    """What is asked for on one resource.

    Attributes:
        type: ``repository`` or ``registry``, say.
        name: of the resource; may contain a registry's host with a port.
        actions: in the order given, each once.
        resource_class: the ``plugin`` of ``repository(plugin)``, or "".
    """

    type: str
    name: str
    actions: tuple[str, ...]
    resource_class: str = ""

    def __str__(self) -> str:
        suffix = f"({self.resource_class})" if self.resource_class else ""
        return f"{self.type}{suffix}:{self.name}:{','.join(self.actions)}"


def parse_scope(text: str) -> Scope:
    """Read one scope.

    The name is what lies between the first and the last colon, since it may itself contain one (``host:5000/image``).

    Raises:
        ScopeError: the text is not ``type:name:action,action``.
    """
    if len(text) > MAX_SCOPE_LENGTH:
        raise ScopeError(f"scope of {len(text)} characters; at most {MAX_SCOPE_LENGTH} are allowed")
    head, first, rest = text.partition(":")
    name, second, actions_text = rest.rpartition(":")
    if not first or not second:
        raise ScopeError(f"scope {text!r}: expected type:name:actions, such as repository:group/image:pull,push")
    kind = _TYPE.fullmatch(head)
    if kind is None:
        raise ScopeError(f"scope {text!r}: type {head!r} is not lower-case letters and digits")
    if not _NAME.fullmatch(name):
        raise ScopeError(f"scope {text!r}: {name!r} is not a resource name")
    # An action may be missing altogether ("repository:name:"): then nothing is asked for.
    actions = tuple(dict.fromkeys(actions_text.split(","))) if actions_text else ()
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise ScopeError(f"scope {text!r}: {action!r} is not an action, such as pull, push, delete or *")
    return Scope(kind[1], name, actions, kind[2] or "")


def render_scopes(accesses: Iterable[tuple[str, str, str]]) -> str:
    """Write (type, name, action) triples as scopes with spaces between them, one for each resource."""
    actions: dict[tuple[str, str], dict[str, None]] = {}
    for kind, name, action in accesses:
        actions.setdefault((kind, name), {})[action] = None
    return " ".join(f"{kind}:{name}:{','.join(wanted)}" for (kind, name), wanted in actions.items())
