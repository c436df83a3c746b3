"""Calls that may be refused, for tests of any input."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, TypeVar

from matou.registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


def attempt(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | RegistryError:
    """Return what a function returns, or its refusal; anything else it may not raise."""
    try:
        return function(*args, **kwargs)
    except RegistryError as error:
        return error
