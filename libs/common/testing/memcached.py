"""A memcached for tests: the part of its text protocol that our client speaks
(https://github.com/memcached/memcached/blob/master/doc/protocol.txt), in this process, with faults on demand. Values do
not expire by themselves: `flush` forgets them all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_ODD = {"garbage": b"GARBAGE 1\r\n", "nothing": b"VALUE\r\n", "no_size": b"VALUE k\r\n"}


class MemcachedDouble:
    """One server; `fault` decides how it treats the next commands."""

    def __init__(self) -> None:
        self.port = 0
        self.values: dict[bytes, bytes] = {}
        self.exptimes: dict[bytes, int] = {}
        self.commands: list[bytes] = []
        self.commanded = asyncio.Event()
        """Set by every command."""
        self.fault = ""
        """`hang`: no answer; `drop`: the connection ends; `half`: it ends in the middle of an answer; `garbage`;
        `nothing` and `no_size`: a value's first line without what belongs into it."""
        self._writers: set[asyncio.StreamWriter] = set()

    def flush(self) -> None:
        """Forget everything, as after a restart."""
        self.values.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                if not await self._answer(line.split(), reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def disconnect(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.close()

    async def _answer(self, words: list[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        name, *arguments = words
        body = (await reader.readexactly(int(arguments[3]) + 2))[:-2] if name in (b"set", b"add") else b""
        self.commands.append(name)
        self.commanded.set()
        if self.fault == "hang":
            return True
        answer = self._do(name, arguments, body)
        if self.fault:
            answer = {**_ODD, "drop": b"", "half": answer[: len(answer) // 2]}[self.fault]
        writer.write(answer)
        await writer.drain()
        return not self.fault or self.fault in _ODD

    def _do(self, name: bytes, arguments: list[bytes], body: bytes) -> bytes:
        if name in (b"get", b"gets"):
            return b"".join(self._shown(key, name) for key in arguments if key in self.values) + b"END\r\n"
        if name == b"version":
            return b"VERSION 1.6.0\r\n"
        key = arguments[0]
        if name == b"set" or (name == b"add" and key not in self.values):
            self.values[key] = body
            self.exptimes[key] = int(arguments[2])
            return b"STORED\r\n"
        if name == b"add":
            return b"NOT_STORED\r\n"
        if name == b"incr" and key in self.values:
            self.values[key] = b"%d" % (int(self.values[key]) + int(arguments[1]))
            return self.values[key] + b"\r\n"
        if name == b"delete" and self.values.pop(key, None) is not None:
            return b"DELETED\r\n"
        return b"NOT_FOUND\r\n" if name in (b"incr", b"delete") else b"ERROR\r\n"

    def _shown(self, key: bytes, name: bytes) -> bytes:
        value = self.values[key]
        return b"VALUE %s 0 %d%s\r\n%s\r\n" % (key, len(value), b" 1" if name == b"gets" else b"", value)


@asynccontextmanager
async def memcached_double() -> AsyncIterator[MemcachedDouble]:
    """A server on a free port of 127.0.0.1 until the block ends."""
    double = MemcachedDouble()
    server = await asyncio.start_server(double.serve, "127.0.0.1", 0)
    double.port = server.sockets[0].getsockname()[1]
    try:
        yield double
    finally:
        server.close()
        double.disconnect()
        await server.wait_closed()
