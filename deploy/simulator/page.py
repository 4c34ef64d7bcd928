"""The page that shows what arrives, and its live stream (SSE). Refuses to know what a message means."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from deploy.simulator.records import Message
from deploy.simulator.world import World

SHOWN = 500  # newest messages on the page
LONGEST_BODY = 500  # characters of a body on the page
_BEAT_SECONDS = 15.0
_GATHER_SECONDS = 0.1  # under load, one event carries what came in this long
_WEB = Path(__file__).parent / "web"
_FILES = (
    ("/", "page.html", "text/html"),
    ("/page.css", "page.css", "text/css"),
    ("/page.js", "page.js", "text/javascript"),
)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class Page:
    """Static files, read once, and the stream."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._files = {path: ((_WEB / name).read_bytes(), kind) for path, name, kind in _FILES}

    def routes(self) -> list[web.RouteDef]:
        """The page, its two files, the stream."""
        return [*(web.get(path, self.file) for path in self._files), web.get("/stream", self.stream)]

    async def file(self, request: web.Request) -> web.Response:
        body, kind = self._files[request.path]
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=_HEADERS)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Events `news`: {messages: those new or changed, counts, clears, faults}, beginning with the newest of all."""
        inbox, world = self._world.inbox, self._world
        news: dict[str, Message] = {message.id: message for message in inbox.messages[-SHOWN:]}
        changed = asyncio.Event()
        changed.set()

        def note(message: Message | None) -> None:
            changed.set()
            if message is not None:
                news.pop(message.id, None)
                news[message.id] = message
                if len(news) > SHOWN:
                    del news[next(iter(news))]

        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        try:
            await response.prepare(request)
            with inbox.listening(note):
                while not world.closing.is_set() and request.transport is not None:
                    event = self._event(news) if changed.is_set() else b": still here\n\n"
                    changed.clear()
                    news.clear()
                    await response.write(event)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(changed.wait(), _BEAT_SECONDS)
                    await world.pause(_GATHER_SECONDS)
        except ConnectionError:
            pass  # the browser left
        return response

    def _event(self, news: dict[str, Message]) -> bytes:
        inbox = self._world.inbox
        rows = [row(message) for message in news.values()]
        told = {"messages": rows, "counts": inbox.totals, "clears": inbox.clears, "faults": self._world.faults.listed()}
        return b"event: news\ndata: " + msgspec.json.encode(told) + b"\n\n"


def row(message: Message) -> dict[str, Any]:
    """What the page shows of a message; a long body is cut."""
    return {
        "id": message.id,
        "at": message.at,
        "channel": message.channel,
        "protocol": message.protocol,
        "to": message.to,
        "subject": message.subject or message.title or "",
        "body": message.body[:LONGEST_BODY],
        "attempts": message.attempts,
        "verification": message.verification,
    }
