"""What holds for every request: a deadline, no compressed bodies, and one wide line in the log. Lines name the route
and ids; never a query, a body or an address."""

import asyncio
import time
from datetime import timedelta

import structlog
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPReceiveMessage, Message, Receive, Scope, Send, WebSocketReceiveMessage

from libs.common.domain.errors import Unavailable
from libs.common.observability.metrics import Metrics
from services.api.errors import TooSlow, UnsupportedMedia
from services.api.security.access import Person, Service

ReceiveMessage = HTTPReceiveMessage | WebSocketReceiveMessage
_log = structlog.get_logger(__name__)
_QUIET = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked every few seconds; a line only when they fail."""

STREAMS = "streams"
"""Set `opt={STREAMS: True}` on a handler that answers for as long as its caller stays."""


def is_compressed(scope: Scope) -> bool:
    """Whether the body is said to be compressed; such a request is refused before its credential is looked at."""
    encodings = [value for name, value in scope["headers"] if name == b"content-encoding"]
    return any(value.strip().lower() not in (b"", b"identity") for value in encodings)


class BodyAndDeadline(ASGIMiddleware):
    """Ends a request that takes too long: 408 when its body never came, else 503."""

    exclude_opt_key = STREAMS

    def __init__(self, deadline: timedelta) -> None:
        self._deadline = deadline.total_seconds()

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """See the class."""
        if scope["type"] != ScopeType.HTTP:
            await next_app(scope, receive, send)
            return
        if is_compressed(scope):
            raise UnsupportedMedia("Send the body without compression.")
        whole = started = False

        async def receive_noting() -> ReceiveMessage:
            nonlocal whole
            message = await receive()
            whole = whole or not message.get("more_body", False)
            return message

        async def send_noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            async with asyncio.timeout(self._deadline):
                await next_app(scope, receive_noting, send_noting)
        except TimeoutError:
            if started:
                raise
            has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
            raise (TooSlow() if has_body and not whole else Unavailable("the request's deadline passed")) from None


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Anybody may call with any word as a method; each would be a metric of its own for as long as the process lives."""


class RequestLog:
    """Around the whole application, so that it sees every answer, also those that no route gave."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and log how it ended."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        status = 0
        begun = time.perf_counter()

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        finally:
            self._write(scope, status, time.perf_counter() - begun)

    def _write(self, scope: Scope, status: int, seconds: float) -> None:
        route = str(scope.get("path_template") or "unknown")
        method = str(scope.get("method", ""))
        method = method if method in _METHODS else "other"
        self._metrics.count("http_requests", method=method, route=route, status=str(status))
        self._metrics.observe("http_request_seconds", seconds, method=method, route=route)
        if method == "POST" and status >= 400 and route.startswith("/v1/events"):
            self._metrics.count("events_refused", reason=str(status))
        if route in _QUIET and status < 400:
            return
        caller = scope.get("user")
        fields: dict[str, object] = {}
        if isinstance(caller, Person):
            fields = {"tenant": caller.tenant, "subscriber_id": caller.subscriber_id}
        elif isinstance(caller, Service):
            fields = {"tenant": caller.tenant, "key_id": caller.key_id}
        _log.info("request", method=method, route=route, status=status, duration_ms=round(seconds * 1000, 1), **fields)
