"""Counts requests that carry no API key by their address, and tells every caller how much of a limit is left. Requests
with a key are counted where the key is verified (`security/access.py`), so that a drawn key is no way around; where
none is asked for, none is looked at, and neither is that of a request that is refused before."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from services.api.limiting.limits import SHOWN, headers_of
from services.api.middleware import is_compressed
from services.api.security.access import carries_key, takes_key

FREE = "free"
"""Set `opt={FREE: True}` on a handler that machines ask all the time."""


class CountAddresses(ASGIMiddleware):
    """See the module."""

    exclude_opt_key = FREE

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Count, then pass on. Raises `TooMany`."""
        if scope["type"] != ScopeType.HTTP:
            await next_app(scope, receive, send)
            return
        connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection(scope)
        limits = scope["litestar_app"].state.limits

        async def send_telling(message: Message) -> None:
            answer = scope.get(SHOWN)
            if message["type"] == "http.response.start" and answer is not None:
                headers = MutableScopeHeaders.from_message(message)
                for name, value in headers_of(answer).items():  # type: ignore[arg-type]  # only we write it
                    headers[name] = value
            await send(message)

        key_is_looked_at = carries_key(connection) and takes_key(scope["route_handler"]) and not is_compressed(scope)
        if not key_is_looked_at:
            await limits.count_address(connection)
        await next_app(scope, receive, send_telling)
