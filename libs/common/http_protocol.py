"""HTTP as uvicorn speaks it by httptools, with what that lacks: a bound on a request's head in bytes and in time, deaf
ears for trailers and for clients that would rather speak another protocol, and a problem where the parser refuses. The
parser in C costs a request 0.8 ms less than h11 does, which has most of this."""

import asyncio
import re
from http import HTTPStatus

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_LONGEST_HEAD = 64 * 1024
"""Bytes, besides those that came with the first packet (256 KiB at most)."""
_HEAD_SECONDS = 10.0
"""From the connection, or a request's first byte, to the end of its head. Without it 400 silent connections of one
address took all the descriptors that a process had."""
_UPGRADE = re.compile(rb"\r\nupgrade[ \t]*:", re.IGNORECASE)


class BoundedHttp(HttpToolsProtocol):
    """Answers 400 or 408 and hangs up where a head does not end."""

    _in_head = _in_body = False
    _head = 0
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Somebody is there, who should say something."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """They are gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """The next bytes of a connection."""
        goes_on = self._in_head
        super().data_received(data if self._in_body else _without_upgrade(data))
        if self._in_head and (not goes_on or self._patience is None):
            self._wait_for_head()  # not at its first byte: nearly every head comes whole, and needs no timer
        if goes_on and self._in_head:
            self._head += len(data)
            if self._head > _LONGEST_HEAD and not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head, self._head = True, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; not one after the body, which could pretend to be one that a proxy let through before it."""
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Its head ends."""
        self._in_head, self._in_body = False, True
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Its body ends."""
        self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong with bytes that are no request, and hang up."""
        self._refuse(HTTPStatus.BAD_REQUEST, "validation", msg)

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(_HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "too-slow", "The head of the request did not arrive in time.")

    def _refuse(self, status: HTTPStatus, slug: str, message: str) -> None:
        """An answer like those of the application (RFC 9457)."""
        problem = {"type": f"/problems/{slug}", "title": status.phrase, "status": status.value, "detail": message}
        body = msgspec.json.encode({**problem, "errors": [{"pointer": "request", "message": message}]})
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            "content-type: application/problem+json",
            f"content-length: {len(body)}",
            "connection: close",
        )
        self.transport.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        self.transport.close()


def _without_upgrade(data: bytes) -> bytes:
    """The bytes, with the header renamed that asks for another protocol. A server may ignore it (RFC 9110, 7.8), but
    the parser takes the body for that protocol: Java's own client asks for HTTP/2, and could send none."""
    head, separator, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nx-upgrade:", head) + separator + rest
