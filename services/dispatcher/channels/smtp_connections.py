"""Connections to a mail server: kept open between mails, since a new one costs three to six round trips. Decides which
one is still good; refuses to know mails.

    idle for more than         what is done before it is used
    -------------------------  ------------------------------------------------------------------------
    nothing                    nothing: if it fails before DATA, the sender takes a fresh one
    5 s                        NOOP, answered within a second
    60 s                       nothing: it is not used any more (servers wait 5 minutes, middleboxes less)

Where one has gone, those that are idle for longer have gone too: they are closed, and a fresh one is opened.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiosmtplib

_CHECK_AFTER = 5.0
_CHECK_WITHIN = 1.0
_TOO_OLD = 60.0
_MAILS = 100
"""Mails per connection: many servers allow no more."""
_GOODBYE = 0.5
"""Seconds for the answer to QUIT."""

FAULTS = (aiosmtplib.SMTPException, TimeoutError, OSError)


@dataclass(frozen=True)
class SmtpServer:
    """Where mail is handed over, and from whom it is."""

    host: str
    port: int
    sender: str
    username: str = ""
    password: str = field(default="", repr=False)
    starttls: bool = False
    tls: bool = False
    """From the first byte on (RFC 8314)."""


@dataclass(eq=False)
class Connection:
    """One connection that stands."""

    smtp: aiosmtplib.SMTP
    idle_since: float = 0.0
    mails: int = 0


class Connections:
    """The connections to one server; at most `keep` of them idle."""

    def __init__(
        self, server: SmtpServer, deadline: float, keep: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._server = server
        self._deadline = deadline
        self._keep = keep
        self._now = now
        self._idle: list[Connection] = []

    async def idle(self) -> Connection | None:
        """The one used last, if it is still good: the others may grow old and go."""
        while self._idle:
            connection = self._idle.pop()
            good = False
            try:
                good = await self._is_good(connection)
            finally:
                if not good:
                    connection.smtp.close()
                    self._forget_older(connection)
            if good:
                return connection
        return None

    def _forget_older(self, than: Connection) -> None:
        """To ask each takes a second: sixteen that a firewall has dropped cost three mails their whole deadline."""
        older = [each for each in self._idle if each.idle_since <= than.idle_since]
        self._idle = [each for each in self._idle if each.idle_since > than.idle_since]
        for each in older:
            each.smtp.close()

    async def open(self) -> Connection:
        """A new one. Raises what aiosmtplib raises; nothing is left open then."""
        server = self._server
        smtp = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            timeout=self._deadline,
            local_hostname=server.sender.rpartition("@")[2] or None,
            use_tls=server.tls,
            start_tls=server.starttls,
            username=server.username or None,
            password=server.password or None,
        )
        try:
            await smtp.connect()
        except BaseException:
            smtp.close()
            raise
        return Connection(smtp)

    async def release(self, connection: Connection) -> None:
        """Keep it for the next mail, or say goodbye. For one whose last mail was taken: any other is `end`ed."""
        connection.mails += 1
        if len(self._idle) < self._keep and connection.mails < _MAILS and connection.smtp.is_connected:
            connection.idle_since = self._now()
            self._idle.append(connection)
        else:
            await end(connection)

    async def close(self) -> None:
        """Say goodbye on all that are idle."""
        idle, self._idle, self._keep = self._idle, [], 0
        await asyncio.gather(*(end(connection) for connection in idle))

    async def _is_good(self, connection: Connection) -> bool:
        idle = self._now() - connection.idle_since
        if not connection.smtp.is_connected or idle > _TOO_OLD:
            return False
        if idle <= _CHECK_AFTER:
            return True
        try:
            async with asyncio.timeout(min(_CHECK_WITHIN, self._deadline / 4)):
                await connection.smtp.noop()
        except FAULTS:
            return False
        return True


async def end(connection: Connection) -> None:
    """Says goodbye to a server that answers; what it says changes nothing any more."""
    with contextlib.suppress(*FAULTS):
        if connection.smtp.is_connected:
            async with asyncio.timeout(_GOODBYE):
                await connection.smtp.quit()
    connection.smtp.close()
