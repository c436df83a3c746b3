"""Which of a route's methods the configuration leaves: maintenance takes away all that write, and deleting is optional.

Source: Distribution ``storage.maintenance.readonly`` and ``storage.delete``; both answer 405 UNSUPPORTED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matou.registry.errors import RegistryError
from matou.registry.http.routes import DELETE

if TYPE_CHECKING:
    from matou.config.distribution import Configuration
    from matou.registry.http.routes import Route

READING = frozenset({"GET", "HEAD"})


class MethodRules:
    """The methods of each route under a configuration.

    Args:
        readonly: ``storage.maintenance.readonly.enabled``.
        deletable: ``storage.delete.enabled``.
    """

    def __init__(self, *, readonly: bool, deletable: bool) -> None:
        self._readonly = readonly
        self._deletable = deletable

    @classmethod
    def from_configuration(cls, configuration: Configuration) -> MethodRules:
        """Read the two settings."""
        storage = configuration.storage
        return cls(readonly=storage.maintenance.readonly.enabled, deletable=storage.delete.enabled)

    @property
    def deletes_content(self) -> bool:
        """Whether manifests, tags and blobs can be deleted."""
        return self._deletable and not self._readonly

    def allow(self, route: Route) -> str:
        """Return the value of a route's ``Allow`` header, in Distribution's order."""
        return ", ".join(method for method in sorted(route.methods) if self._refusal(route, method) is None)

    def check(self, route: Route, method: str) -> None:
        """Refuse what the configuration takes away.

        Raises:
            RegistryError: UNSUPPORTED, with ``Allow``; it names the setting.
        """
        refusal = self._refusal(route, method)
        if refusal is not None:
            message, detail = refusal
            raise RegistryError("UNSUPPORTED", message, detail=detail, headers=(("allow", self.allow(route)),))

    def _refusal(self, route: Route, method: str) -> tuple[str | None, str] | None:
        if self._readonly and method not in READING:
            return (
                "the registry is in maintenance and read-only",
                "pulls work; push and delete again when the maintenance is over (storage.maintenance.readonly.enabled)",
            )
        if not self._deletable and route.methods[method] == DELETE:
            return (
                None,
                "deleting is switched off; the administrator switches it on with storage.delete.enabled: true",
            )
        return None
