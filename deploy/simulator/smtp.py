"""E-mail by SMTP: accepts any login, reads the mail, records it, and performs the faults that make sense here.

Refuses to know HTTP; shares inbox and faults with it. SMTP has no idempotency keys: each accepted mail is an effect.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from deploy.simulator import rules
from deploy.simulator.http_faults import reset
from deploy.simulator.mail import read_mail
from deploy.simulator.records import Attempt, Submission
from deploy.simulator.rules import Facts, kind_of
from deploy.simulator.world import World

AT_RCPT: frozenset[type[Any]] = frozenset({rules.RefuseRecipient})
AT_DATA: frozenset[type[Any]] = frozenset(
    {
        rules.Status,
        rules.Delay,
        rules.Hang,
        rules.DropBefore,
        rules.DropAfterAccept,
        rules.RateLimit,
        rules.Garbage,
    }
)
_SMTP_ONLY = frozenset({421, 450, 451, 452, 550, 551, 552, 553, 554, 555})
_HTTP_FOR_NOW = frozenset({408, 425, 429})


def reply_code(code: int) -> int:
    """An SMTP code stays; an HTTP status becomes 250 (2xx), 451 (try again: 408, 425, 429, 5xx) or 550 (for good)."""
    if code in _SMTP_ONLY:
        return code
    if code < 300:
        return 250
    return 451 if code in _HTTP_FOR_NOW or code >= 500 else 550


class Postman:
    """What aiosmtpd calls for each command. One for all connections."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Refuse a recipient when a rule says so."""
        verdict = self._world.faults.judge(Facts("EMAIL", (address,)), AT_RCPT)
        action = verdict.armed.rule.action if verdict is not None and verdict.armed is not None else None
        if verdict is not None and verdict.armed is not None and isinstance(action, rules.RefuseRecipient):
            attempt = self._arrive(time.time_ns(), b"", Submission(to=(address,), body=""))
            attempt.fault, attempt.fault_kind, attempt.reason = verdict.armed.id, kind_of(action), "recipient refused"
            await self._world.settle(attempt, "reject", action.code)
            return f"{action.code} {'4.2.1' if action.code < 500 else '5.1.1'} {address}: recipient refused"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a mail, or what a rule wants."""
        at_ns = time.time_ns()
        raw = envelope.content if isinstance(envelope.content, bytes) else b""
        sent = read_mail(raw, envelope.mail_from or "", tuple(envelope.rcpt_tos))
        attempt = self._arrive(at_ns, raw, sent)
        verdict = self._world.faults.judge(Facts("EMAIL", sent.to), AT_DATA)
        if verdict is not None:
            if verdict.delay:
                await self._world.pause(verdict.delay)
            if verdict.armed is not None:
                action = verdict.armed.rule.action
                attempt.fault, attempt.fault_kind = verdict.armed.id, kind_of(action)
                return await _PERFORM[type(action)](self, server, attempt, sent, action)
        return await self.deliver(attempt, sent)

    async def deliver(self, attempt: Attempt, sent: Submission) -> str:
        """Accept: the reply names the message's id."""
        self.accept(attempt, sent)
        await self._world.settle(attempt, "accept", 250)
        return f"250 2.0.0 OK: queued as {attempt.message_id}"

    def accept(self, attempt: Attempt, sent: Submission) -> None:
        """Take the message."""
        self._world.inbox.accept(attempt, sent, f"sim-{uuid4().hex}", honour=False)

    async def refuse(self, attempt: Attempt, code: int, words: str) -> str:
        """Answer with a failure."""
        attempt.reason = words
        await self._world.settle(attempt, "reject", code)
        return f"{code} {'4' if code < 500 else '5'}.3.0 {words}"

    async def status(self, server: SMTP, attempt: Attempt, sent: Submission, action: rules.Status) -> str:
        """The code that stands for this status."""
        code = reply_code(action.code)
        return await self.deliver(attempt, sent) if code == 250 else await self.refuse(attempt, code, "simulated")

    async def limit(self, server: SMTP, attempt: Attempt, sent: Submission, action: rules.RateLimit) -> str:
        """Too many."""
        return await self.refuse(attempt, 451, f"more than {action.per_second:g} a second")

    async def hang(self, server: SMTP, attempt: Attempt, sent: Submission, action: rules.Hang) -> str:
        """No answer. When the sender hangs up, aiosmtpd cancels this."""
        if action.accept:
            self.accept(attempt, sent)
        await self._world.settle(attempt, "hang", None)
        await self._world.hold(lambda: server.transport is None or server.transport.is_closing())
        return "421 4.3.2 closing"

    async def drop_before(self, server: SMTP, attempt: Attempt, sent: Submission, action: rules.DropBefore) -> str:
        """Hang up."""
        await self._world.settle(attempt, "drop", None)
        if server.transport is not None:
            server.transport.close()
        return "421 4.3.2 closing"

    async def drop_after(self, server: SMTP, attempt: Attempt, sent: Submission, action: rules.DropAfterAccept) -> str:
        """Take it, then reset."""
        self.accept(attempt, sent)
        await self._world.settle(attempt, "drop", None)
        if server.transport is not None:
            reset(server.transport)
        return "421 4.3.2 closing"

    async def garbage(self, server: SMTP, attempt: Attempt, sent: Submission, action: rules.Garbage) -> str:
        """A line that is no SMTP reply."""
        if action.accept:
            self.accept(attempt, sent)
        await self._world.settle(attempt, "accept" if action.accept else "reject", None)
        return "this is no SMTP"

    def _arrive(self, at_ns: int, raw: bytes, sent: Submission) -> Attempt:
        sha256 = hashlib.sha256(raw).hexdigest()
        attempt = self._world.arrive("EMAIL", "smtp", at_ns, sha256=sha256, key=sent.key)
        attempt.to, attempt.delivery_id = ", ".join(sent.to), sent.delivery_id
        return attempt


_PERFORM: dict[type[Any], Callable[[Postman, SMTP, Attempt, Submission, Any], Awaitable[str]]] = {
    rules.Status: Postman.status,
    rules.RateLimit: Postman.limit,
    rules.Hang: Postman.hang,
    rules.DropBefore: Postman.drop_before,
    rules.DropAfterAccept: Postman.drop_after,
    rules.Garbage: Postman.garbage,
}


class _Connection(SMTP):
    """One connection, which can be found again when the simulator stops."""

    def __init__(self, postman: Postman, world: World, all_of_them: "set[_Connection]") -> None:
        super().__init__(
            postman,
            data_size_limit=world.settings.max_body_bytes,
            enable_SMTPUTF8=True,
            hostname="simulator",
            ident="Sigmora simulator",
            auth_require_tls=False,
            auth_exclude_mechanism=[],
            authenticator=lambda *_: AuthResult(success=True),
            loop=asyncio.get_running_loop(),
        )
        self._all_of_them = all_of_them

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._all_of_them.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._all_of_them.discard(self)
        super().connection_lost(error)

    def abort(self) -> None:
        """Hang up at once."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()


class SmtpServer:
    """The listener and its connections, on the running loop."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port. Raises OSError."""
        postman = Postman(self._world)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(postman, self._world, self._connections), host, port, backlog=1024
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and hang up."""
        if self._server is None:
            return
        self._server.close()
        for connection in tuple(self._connections):
            connection.abort()
        await self._server.wait_closed()
        await asyncio.sleep(0)  # lets the aborted connections tell their handlers
