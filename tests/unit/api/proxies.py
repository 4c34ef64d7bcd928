"""Callers that come through a proxy of ours, from whatever address it names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from httpx import ASGITransport, AsyncClient

PROXY = ("10.0.0.1", 4000)


@asynccontextmanager
async def behind_proxy(world: Any, **settings: Any) -> AsyncIterator[AsyncClient]:
    """A client of an API that sees every request come from a proxy that it trusts. Requests run at once, where the
    framework's own test client lets the next one wait."""
    app = world.app(**settings, trusted_proxies=("10.0.0.0/8",))
    transport = ASGITransport(app, client=PROXY, raise_app_exceptions=False)
    async with app.lifespan(), AsyncClient(transport=transport, base_url="http://api") as client:
        yield client
