"""A mail server on a real socket that answers each command as it is told, or hangs up instead."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

HANG_UP = ""
HANG = "..."

_USUAL = {"greeting": "220 ready", "EHLO": "250 hello", "DATA": "354 go on", ".": "250 taken", "QUIT": "221 bye"}


class MailServer:
    """What arrived, and how commands are answered."""

    def __init__(self) -> None:
        self.port = 0
        self.replies: dict[str, str] = {}
        """By command: a reply, HANG_UP or HANG; `greeting` and `.` (the end of a message) count as commands."""
        self._once: dict[str, str] = {}
        self.commands: list[str] = []
        self.mails: list[bytes] = []
        self.open = 0
        """Connections that stand."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._reply(reader, writer, "greeting")
            while line := (await reader.readline()).decode("latin-1").strip():
                self.commands.append(line)
                verb = line.split()[0].split(":")[0].upper()
                await self._reply(reader, writer, verb)
                if verb == "DATA" and self._answer(verb).startswith("354"):
                    self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
                    await self._reply(reader, writer, ".")
                if verb == "QUIT":
                    break
        writer.close()

    def answer_once(self, command: str, reply: str) -> None:
        """Answer the next such command so, and those after it as usual."""
        self._once[command] = reply

    def _answer(self, command: str) -> str:
        return self.replies.get(command, _USUAL.get(command, "250 ok"))

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, command: str) -> None:
        answer = self._once.pop(command, None)
        answer = self._answer(command) if answer is None else answer
        if answer == HANG_UP:
            raise ConnectionResetError
        if answer == HANG:
            await reader.read()  # until the other side hangs up
            raise ConnectionResetError
        writer.write(answer.encode() + b"\r\n")
        await writer.drain()


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    """A mail server on a free port, until the block ends."""
    answering = MailServer()
    tasks: set[asyncio.Task[object]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a connection is served by a task
        tasks.add(task)
        answering.open += 1
        try:
            await answering.serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            answering.open -= 1
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    answering.port = server.sockets[0].getsockname()[1]
    try:
        yield answering
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
