"""An HTTP provider on a real socket that can misbehave in every way that a provider does. Spoken by hand: a well-made
server library would not let it."""

import asyncio
import gzip
import json
import struct
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Provider:
    """What arrived, and how the next requests are answered."""

    def __init__(self) -> None:
        self.url = ""
        self.script: deque[Behaviour] = deque()
        """One for each request to come; once it is used up, `always`."""
        self.always: Behaviour = accepts
        self.keys: list[str] = []
        """The `Idempotency-Key` of every request that arrived whole."""
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        """Headers and body of each; a body that is no JSON object counts as an empty one."""
        self.bodies: list[bytes] = []
        """The body of each, as it came."""
        self.effects: Counter[str] = Counter()
        """What was done, as an honouring provider does it: at most once for each key."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                headers = {
                    name.strip().lower(): content.strip()
                    for name, _, content in (line.partition(":") for line in head.split("\r\n")[1:] if line)
                }
                self.bodies.append(await reader.readexactly(int(headers.get("content-length", "0"))))
                self.keys.append(headers.get("idempotency-key", ""))
                self.requests.append((headers, _object(self.bodies[-1])))
                behaviour = self.script.popleft() if self.script else self.always
                if behaviour is accepts:
                    self.effects[self.keys[-1]] = 1
                await behaviour(writer)
        writer.close()


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def raw(status: str, body: bytes = b"", **headers: str) -> bytes:
    """A response, spelled out."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {content}" for name, content in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answers(status: str, body: bytes = b"", **headers: str) -> Behaviour:
    """Answers so."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(raw(status, body, **headers))
        await writer.drain()

    return answer


_ACCEPTED = answers("202 Accepted", b'{"provider_message_id": "m-1"}')


async def accepts(writer: asyncio.StreamWriter) -> None:
    """202 with a message id."""
    await _ACCEPTED(writer)


async def hangs(_writer: asyncio.StreamWriter) -> None:
    """Takes the request and never answers."""
    await asyncio.sleep(3600)


async def resets(writer: asyncio.StreamWriter) -> None:
    """Takes the request and resets the connection."""
    writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    raise ConnectionResetError


async def closes(_writer: asyncio.StreamWriter) -> None:
    """Takes the request and closes the connection."""
    raise ConnectionResetError


async def babbles(writer: asyncio.StreamWriter) -> None:
    """Answers something that is not HTTP."""
    writer.write(b"\x16\x03\x01 what is this?\r\n\r\n")
    await writer.drain()
    raise ConnectionResetError


async def drips(writer: asyncio.StreamWriter) -> None:
    """Promises a body and sends a byte now and then."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
    while True:
        await asyncio.sleep(0.02)
        writer.write(b" ")
        await writer.drain()


async def never_ends(writer: asyncio.StreamWriter) -> None:
    """Sends a body without an end, as fast as it is taken."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


async def breaks_off(writer: asyncio.StreamWriter) -> None:
    """Sends half of the promised body."""
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"provider_me')
    await writer.drain()
    raise ConnectionResetError


async def miscounts(writer: asyncio.StreamWriter) -> None:
    """Sends a chunk whose size is no number."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n")
    await writer.drain()
    raise ConnectionResetError


async def bombs(writer: asyncio.StreamWriter) -> None:
    """Sends a small body that would become 50 MB."""
    body = gzip.compress(b" " * 50_000_000)
    await answers("200 OK", body, Content_Encoding="gzip")(writer)


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """A provider on a free port, until the block ends."""
    behaving = Provider()
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a connection is served by a task
        tasks.add(task)
        try:
            await behaving.serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=512)
    behaving.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield behaving
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
