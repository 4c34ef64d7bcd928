"""E-mail by SMTP (RFC 5321): one mail for each message, so that one recipient's trouble is nobody else's.

    what happens                                outcome
    ------------------------------------------  ---------------------------------------------------
    no connection, no TLS, no login             NotNow: ours to mend, no recipient's fault
    4xx to MAIL, RCPT or the message            NotNow
    5xx to MAIL                                 NotNow: it is our sender or our login that is refused
    5xx to RCPT or the message                  Refused
    connection lost before the message          NotNow: it cannot have been taken
    connection lost, or no time, after it       Unknown

A connection that was kept from an earlier mail and fails before DATA had gone stale: the mail goes out by a fresh one,
once. SMTP has no idempotency key: a repeated message carries the same Message-ID, by which many servers and clients
show it once.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import Any

import aiosmtplib

from libs.common.clock import Clock
from libs.common.domain.outcome import Accepted, NotNow, Outcome, Refused, Unknown
from services.dispatcher.channels.base import Message
from services.dispatcher.channels.smtp_connections import FAULTS, Connection, Connections, SmtpServer, end

__all__ = ["SmtpSender", "SmtpServer", "compose"]

_CLOSING = 421
"""The server ends the connection: to a kept one, that is no answer to the mail."""


class _Policy(EmailPolicy):
    """The standard library writes a word of over 78 characters as an encoded word, which no reader's program takes for
    a link. A line may have 998."""

    def fold_binary(self, name: str, value: Any) -> bytes:
        if name == "List-Unsubscribe":
            return f"{name}: {value}\r\n".encode("ascii")
        return super().fold_binary(name, value)


SMTP_POLICY = _Policy(linesep="\r\n", cte_type="7bit")
"""All ASCII on the wire: who sends more must ask for 8BITMIME first (RFC 6152), which not every server has."""


class SmtpSender:
    """Sends by SMTP."""

    provider = "smtp"

    def __init__(self, server: SmtpServer, deadline: timedelta, clock: Clock, keep: int = 0) -> None:
        """`keep`: how many connections stay open between mails; with any, `close` is to be called at the end."""
        self._server = server
        self._deadline = deadline.total_seconds()
        self._clock = clock
        self._connections = Connections(server, self._deadline, keep)

    async def send(self, message: Message) -> Outcome:
        """Hand one message over; see the table above."""
        try:
            mail = compose(message, self._server.sender, self._clock())
        except (ValueError, MessageError, IndexError):
            return Refused("invalid_address")
        dialogue = _Dialogue()
        try:
            async with asyncio.timeout(self._deadline):
                return await self._hand_over(dialogue, mail, message.to)
        except aiosmtplib.SMTPResponseException as error:
            return dialogue.answered(error.code)
        except FAULTS as error:
            return dialogue.lost(error)
        finally:
            await self._let_go(dialogue)

    async def close(self) -> None:
        """End the connections that were kept."""
        await self._connections.close()

    async def _hand_over(self, dialogue: "_Dialogue", mail: EmailMessage, to: str) -> Outcome:
        dialogue.connection = await self._connections.idle()
        if dialogue.connection is not None:
            try:
                return await self._converse(dialogue, dialogue.connection, mail, to)
            except FAULTS as error:
                if not dialogue.was_stale(error):
                    raise
            dialogue.connection.smtp.close()
        dialogue.connection, dialogue.welcome = None, False
        dialogue.connection = await self._connections.open()
        return await self._converse(dialogue, dialogue.connection, mail, to)

    async def _converse(self, dialogue: "_Dialogue", connection: Connection, mail: EmailMessage, to: str) -> Outcome:
        await connection.smtp.mail(Address(addr_spec=self._server.sender).addr_spec)
        dialogue.welcome = True
        await connection.smtp.rcpt(to)
        dialogue.handed_over = True
        await connection.smtp.data(mail.as_bytes(policy=SMTP_POLICY))
        dialogue.taken = True
        return Accepted(str(mail["Message-ID"]))

    async def _let_go(self, dialogue: "_Dialogue") -> None:
        if dialogue.connection is not None:
            await (self._connections.release if dialogue.taken else end)(dialogue.connection)


@dataclass
class _Dialogue:
    """How far a mail came."""

    connection: Connection | None = None
    welcome: bool = False
    """The server takes mail from us."""
    handed_over: bool = False
    taken: bool = False

    def was_stale(self, error: Exception) -> bool:
        """Whether a kept connection failed in a way that tells nothing of the mail."""
        if isinstance(error, aiosmtplib.SMTPResponseException) and error.code != _CLOSING:
            return False
        return not self.handed_over

    def answered(self, code: int) -> Outcome:
        """What a reply means."""
        reason = f"smtp_{code}"
        if not 400 <= code < 600:
            return Unknown("garbage") if self.handed_over else NotNow("garbage")
        if not self.welcome or code < 500:
            return NotNow(reason)
        return Refused(reason)

    def lost(self, error: Exception) -> Outcome:
        """What no reply means."""
        if self.handed_over:
            return Unknown("timeout" if isinstance(error, TimeoutError) else "disconnected")
        return NotNow("disconnected" if self.connection is not None else "connect")


def compose(message: Message, sender: str, now: datetime) -> EmailMessage:
    """The mail. Its Message-ID comes from the delivery id, so that a repeated one is the same mail. Raises ValueError
    for an address that is none; headers cannot be injected, since `EmailMessage` refuses line breaks in them."""
    author = Address(addr_spec=sender)
    message.to.encode("ascii")  # other addresses need SMTPUTF8 all the way; UnicodeEncodeError is a ValueError
    mail = EmailMessage(policy=SMTP_POLICY)
    mail["From"] = author
    mail["To"] = Address(addr_spec=message.to)
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{message.delivery_id}@{author.domain}>"
    mail["X-Sigmora-Notification-Id"] = message.notification_id  # what a receipt or a complaint is to name
    for name, value in message.headers.items():
        mail[name] = value
    mail.set_content(message.text)
    if message.html:
        mail.add_alternative(message.html, subtype="html")
    return mail
