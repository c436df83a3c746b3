"""How the requests of Azure's libraries are sent: through the proxies of the environment as we read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azure.core.pipeline.transport import AioHttpTransport

if TYPE_CHECKING:
    import aiohttp

    from matou.registry.drivers.proxies import Proxies


class Transport(AioHttpTransport):  # type: ignore[misc]  # its types are not exported
    """A transport that looks for a proxy itself: what it is built on would read ``~/.netrc``, too.

    Args:
        proxies: that it goes through.
        session: that sends the requests and is not closed here; None for one of its own.
        options: see ``AioHttpTransport``.
    """

    def __init__(self, proxies: Proxies, session: aiohttp.ClientSession | None = None, **options: Any) -> None:
        super().__init__(session=session, session_owner=session is None, use_env_settings=False, **options)
        self._chosen = proxies

    async def send(self, request: Any, **config: Any) -> Any:
        """Send a request; see ``AioHttpTransport.send``."""
        return await super().send(request, **config, proxy=self._chosen.of(request.url))
