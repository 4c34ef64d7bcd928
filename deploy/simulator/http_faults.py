"""How each fault is performed on an HTTP connection: one line each in `PERFORM`. Refuses to know when one is due."""

import asyncio
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import uuid4

import msgspec
from aiohttp import web

from deploy.simulator import rules
from deploy.simulator.dialects.dialect import Call, Dialect, Reply
from deploy.simulator.records import Attempt, Served, Submission
from deploy.simulator.world import World

GARBAGE = b"\x16\x03\x01 this is no HTTP\r\n\xff\xfe\x00\r\n\r\n"
_MIB = 2**20
_FIRST_OK = range(200, 300)


@dataclass(slots=True)
class Exchange:
    """One request and all that is needed to answer it."""

    request: web.Request
    dialect: Dialect
    call: Call
    sent: Submission
    attempt: Attempt
    world: World

    def accept(self) -> Reply:
        """Take the message, once per key where the dialect and the settings promise that; return the answer."""
        new_id = self.dialect.new_id(self.call, uuid4().hex)
        honour = self.dialect.honours_keys and self.world.settings.honour_keys
        message_id = self.world.inbox.accept(self.attempt, self.sent, new_id, honour=honour)
        return self.dialect.accepted(self.call, self.sent, message_id)

    async def take(self, accept: bool, status: int | None = 200) -> Reply:
        """Accept or not, note it, and return what an answer would be."""
        reply = self.accept() if accept else self.dialect.refused(500, "simulated")
        await self.world.settle(self.attempt, "accept" if accept else "reject", status)
        return reply

    async def cut(self, served: Served) -> None:
        """Note that there is no answer."""
        await self.world.settle(self.attempt, served, None)

    def gone(self) -> bool:
        """Whether the sender has hung up."""
        return self.request.transport is None or self.request.transport.is_closing()

    def close(self, last_words: bytes = b"") -> web.Response:
        """End the connection in good order, after some raw bytes if wanted."""
        transport = self.request.transport
        if transport is not None:
            if last_words:
                transport.write(last_words)
            transport.close()
        return web.Response()  # goes nowhere: the connection is closing

    def reset(self) -> web.Response:
        """End the connection by RST."""
        if self.request.transport is not None:
            reset(self.request.transport)
        return web.Response()  # goes nowhere

    async def stream(self, reply: Reply, chunks: AsyncIterator[bytes], length: int | None) -> web.StreamResponse:
        """Answer piece by piece, until the chunks, the sender's patience or this process ends."""
        response = web.StreamResponse(status=reply.status, headers={"Content-Type": reply.type, **reply.headers})
        response.content_length = length
        try:
            await response.prepare(self.request)
            async for chunk in chunks:
                await response.write(chunk)
                if self.world.closing.is_set():
                    return self.close()
        except ConnectionError:
            return self.close()
        return response


def reset(transport: asyncio.BaseTransport) -> None:
    """Abort with linger 0, so that the other side sees ECONNRESET and not an orderly end."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()


async def _status(it: Exchange, action: rules.Status) -> web.StreamResponse:
    accept = action.code in _FIRST_OK
    reply = await it.take(accept, action.code)
    if not accept:
        reply = it.dialect.refused(action.code, "simulated")
    body, media = reply.body, reply.type
    if isinstance(action.body, str):
        body, media = action.body.encode(errors="replace"), "text/plain"
    elif action.body is not None:
        body, media = msgspec.json.encode(action.body), "application/json"
    response = web.Response(status=action.code, body=body, content_type=media, headers=reply.headers or None)
    response.headers.update(action.headers)
    return response


async def _hang(it: Exchange, action: rules.Hang) -> web.StreamResponse:
    if action.accept:
        it.accept()
    await it.cut("hang")
    await it.world.hold(it.gone)
    return it.close()


async def _drop_before(it: Exchange, action: rules.DropBefore) -> web.StreamResponse:
    await it.cut("drop")
    return it.close()


async def _drop_after_accept(it: Exchange, action: rules.DropAfterAccept) -> web.StreamResponse:
    it.accept()
    await it.cut("drop")
    return it.reset()


async def _rate_limit(it: Exchange, action: rules.RateLimit) -> web.StreamResponse:
    await it.world.settle(it.attempt, "reject", 429)
    reply = it.dialect.refused(429, f"more than {action.per_second:g} a second")
    headers = {**reply.headers, "Retry-After": str(action.retry_after)}
    return web.Response(status=429, body=reply.body, content_type=reply.type, headers=headers)


async def _garbage(it: Exchange, action: rules.Garbage) -> web.StreamResponse:
    await it.take(action.accept, None)
    return it.close(GARBAGE)


async def _malformed_json(it: Exchange, action: rules.MalformedJson) -> web.StreamResponse:
    await it.take(action.accept)
    return web.Response(status=200, body=b'{"provider_message_id": "sim-', content_type="application/json")


async def _drip(it: Exchange, action: rules.Drip) -> web.StreamResponse:
    reply = it.accept() if action.accept else it.dialect.refused(500, "simulated")
    await it.world.settle(it.attempt, "accept" if action.accept else "reject", reply.status)
    pause = 1 / action.bytes_per_second

    async def drops() -> AsyncIterator[bytes]:
        for byte in reply.body:
            yield bytes((byte,))
            await it.world.pause(pause)

    return await it.stream(reply, drops(), len(reply.body))


async def _endless(it: Exchange, action: rules.Endless) -> web.StreamResponse:
    await it.take(action.accept)

    async def blocks() -> AsyncIterator[bytes]:
        while not it.gone():
            yield b" " * 65536
            await asyncio.sleep(0)  # a fast reader must not keep the others waiting

    return await it.stream(Reply(200), blocks(), None)


async def _gzip_bomb(it: Exchange, action: rules.GzipBomb) -> web.StreamResponse:
    await it.take(action.accept)
    bomb = await asyncio.to_thread(gzip_bomb, action.megabytes)
    headers = {"Content-Encoding": "gzip"}
    return web.Response(status=200, body=bomb, content_type="application/json", headers=headers)


async def _refuse_recipient(it: Exchange, action: rules.RefuseRecipient) -> web.StreamResponse:
    reply = it.dialect.unknown_recipient(action.code)
    await it.world.settle(it.attempt, "reject", reply.status)
    return web.Response(status=reply.status, body=reply.body, content_type=reply.type, headers=reply.headers or None)


@lru_cache(maxsize=4)
def gzip_bomb(megabytes: int) -> bytes:
    """A gzip stream of so many MiB of zeros, about 1 kB per MiB. One flushed block is made once and repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = bytes(_MIB)
    block = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    end = packer.flush(zlib.Z_FINISH)
    check = 0
    for _ in range(megabytes):
        check = zlib.crc32(zeros, check)
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    return head + block * megabytes + end + struct.pack("<II", check, megabytes * _MIB % 2**32)


PERFORM: dict[type[Any], Callable[[Exchange, Any], Awaitable[web.StreamResponse]]] = {
    rules.Status: _status,
    rules.Hang: _hang,
    rules.DropBefore: _drop_before,
    rules.DropAfterAccept: _drop_after_accept,
    rules.RateLimit: _rate_limit,
    rules.Garbage: _garbage,
    rules.MalformedJson: _malformed_json,
    rules.Drip: _drip,
    rules.Endless: _endless,
    rules.GzipBomb: _gzip_bomb,
    rules.RefuseRecipient: _refuse_recipient,
}
