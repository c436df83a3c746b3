"""Names of repositories and tags.

Source: OCI Distribution Specification 1.1, "Pulling manifests"; Distribution ``reference/regexp.go``.
"""

from __future__ import annotations

import re

from matou.registry.errors import RegistryError

MAX_REPOSITORY_NAME = 255  # characters
TAG_GRAMMAR = "expected 1 to 128 of A-Z a-z 0-9 _ . -, and neither . nor - first"

_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_REPOSITORY = re.compile(rf"{_COMPONENT.pattern}(?:/{_COMPONENT.pattern})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)


def is_repository_name(text: str) -> bool:
    """Tell whether text is the name that a repository may have."""
    return len(text) <= MAX_REPOSITORY_NAME and _REPOSITORY.fullmatch(text) is not None


def check_repository_name(text: str) -> str:
    """Return the name.

    Raises:
        RegistryError: NAME_INVALID; its detail says which part is wrong and why.
    """
    if is_repository_name(text):
        return text
    raise RegistryError("NAME_INVALID", detail={"name": text[: MAX_REPOSITORY_NAME + 1], "reason": _why(text)})


def _why(name: str) -> str:
    if len(name) > MAX_REPOSITORY_NAME:
        return f"it has {len(name)} characters; at most {MAX_REPOSITORY_NAME} are allowed"
    for component in name.split("/"):
        if not _COMPONENT.fullmatch(component):
            return f"the part {component!r} {_why_component(component)}"
    return "it is not a path of parts joined by slashes"


def _why_component(component: str) -> str:
    if not component:
        return "is empty: a name neither begins nor ends with a slash and has no two in a row"
    if any(character.isascii() and character.isupper() for character in component):
        return "has upper-case letters; names are lower case"
    odd = sorted({character for character in component if not re.fullmatch(r"[a-z0-9._-]", character)})
    if odd:
        return f"has {odd[0]!r}; allowed are a-z, 0-9 and, between them, . _ __ and -"
    if component[0] in "._-":
        return f"begins with {component[0]!r}; it must begin with a letter or digit"
    if component[-1] in "._-":
        return f"ends with {component[-1]!r}; it must end with a letter or digit"
    return "has separators in a row that are not allowed: one ., one or two _, or any number of - may stand together"


def is_tag(text: str) -> bool:
    """Tell whether text is the name that a tag may have."""
    return _TAG.fullmatch(text) is not None


def check_tag(text: str) -> str:
    """Return the tag.

    Raises:
        RegistryError: TAG_INVALID.
    """
    if is_tag(text):
        return text
    raise RegistryError("TAG_INVALID", "invalid tag name", detail={"tag": text[:256], "reason": TAG_GRAMMAR})
