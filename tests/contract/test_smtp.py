"""What the SMTP sender makes of every answer of a mail server."""

import email
import email.policy
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.domain.channels import Channel
from libs.common.domain.messages import Event
from libs.common.domain.outcome import Accepted, NotNow, Outcome, Refused, Unknown
from libs.common.testing.mail_servers import HANG, HANG_UP, MailServer, mail_server
from services.dispatcher.channels.base import Message
from services.dispatcher.channels.smtp import SmtpSender, SmtpServer

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
EVENT = Event(id="1", source="/shop", time=NOON, tenant="acme", eventid="e1")
MESSAGE = Message("d-1", "n1", Channel.EMAIL, "ann", "ann@example.org", "Grüße", "On its way\n.\nbye", EVENT)
MESSAGE_ID = "<d-1@sigmora.example>"


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with mail_server() as answering:
        yield answering


def sender(port: int, **fields: str | bool) -> SmtpSender:
    server = SmtpServer("127.0.0.1", port, "news@sigmora.example", **fields)  # type: ignore[arg-type]  # as named
    return SmtpSender(server, timedelta(milliseconds=500), lambda: NOON)


async def test_a_mail_is_handed_over(server: MailServer) -> None:
    assert await sender(server.port).send(MESSAGE) == Accepted(MESSAGE_ID)

    [raw] = server.mails
    mail = email.message_from_bytes(raw.removesuffix(b".\r\n"), policy=email.policy.default)
    assert mail["From"] == "news@sigmora.example"
    assert mail["To"] == "ann@example.org"
    assert mail["Subject"] == "Grüße"
    assert mail["Message-ID"] == MESSAGE_ID
    assert mail["Date"].datetime == NOON
    assert server.commands[-1] == "QUIT"


async def test_a_repeated_mail_is_the_same_mail(server: MailServer) -> None:
    await sender(server.port).send(MESSAGE)
    await sender(server.port).send(MESSAGE)
    first, second = server.mails
    assert first == second


async def test_both_bodies_are_sent_when_there_are_two(server: MailServer) -> None:
    await sender(server.port).send(replace(MESSAGE, html="<p>On its way</p>"))
    assert b"multipart/alternative" in server.mails[0]


@pytest.mark.parametrize(
    ("command", "reply", "outcome"),
    [
        ("greeting", "554 not you", NotNow("smtp_554")),
        ("greeting", "421 busy", NotNow("smtp_421")),
        ("greeting", HANG_UP, NotNow("connect")),
        ("greeting", HANG, NotNow("connect")),
        ("MAIL", "550 unknown sender", NotNow("smtp_550")),
        ("MAIL", "530 log in first", NotNow("smtp_530")),
        ("MAIL", "451 later", NotNow("smtp_451")),
        ("RCPT", "550 no such user", Refused("smtp_550")),
        ("RCPT", "450 greylisted", NotNow("smtp_450")),
        ("RCPT", HANG_UP, NotNow("disconnected")),
        ("RCPT", HANG, NotNow("disconnected")),
        ("DATA", "554 no", Refused("smtp_554")),
        (".", "554 spam", Refused("smtp_554")),
        (".", "452 full", NotNow("smtp_452")),
        (".", HANG_UP, Unknown("disconnected")),
        (".", HANG, Unknown("timeout")),
        (".", "what?", Unknown("garbage")),
        ("QUIT", HANG_UP, Accepted(MESSAGE_ID)),
        ("QUIT", HANG, Accepted(MESSAGE_ID)),
    ],
)
async def test_every_answer_has_its_outcome(server: MailServer, command: str, reply: str, outcome: Outcome) -> None:
    server.replies[command] = reply
    assert await sender(server.port).send(MESSAGE) == outcome


async def test_a_login_that_fails_is_nobodys_fault_but_ours(server: MailServer) -> None:
    server.replies |= {"EHLO": "250-hello\r\n250 AUTH PLAIN", "AUTH": "535 wrong"}
    outcome = await sender(server.port, username="us", password="wrong").send(MESSAGE)
    assert outcome == NotNow("smtp_535")


@pytest.mark.parametrize("kind", ["starttls", "tls"])
async def test_tls_that_was_asked_for_is_not_done_without(server: MailServer, kind: str) -> None:
    outcome = await sender(server.port, **{kind: True}).send(MESSAGE)
    assert isinstance(outcome, NotNow)
    assert server.mails == []


async def test_a_server_that_is_away_was_surely_not_told() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert await sender(closed.getsockname()[1]).send(MESSAGE) == NotNow("connect")


@pytest.mark.parametrize("to", ["", "ann", "ann@example.org\r\nBcc: b@example.org", "a@b, c@d", "ünï@example.org"])
async def test_an_address_that_is_none_is_refused_before_anybody_is_called(server: MailServer, to: str) -> None:
    assert await sender(server.port).send(replace(MESSAGE, to=to)) == Refused("invalid_address")
    assert server.commands == []


@pytest.mark.parametrize("html", ["", "<p>Grüße aus Köln, 日本</p>"])
async def test_a_mail_is_ascii_on_the_wire_whatever_it_says(server: MailServer, html: str) -> None:
    """Who sends more must ask for 8BITMIME first (RFC 6152), and not every server has it."""
    text = "Grüße aus Köln, 日本, 🎉"
    await sender(server.port).send(replace(MESSAGE, subject=text, text=text, html=html))

    [sent] = server.mails
    assert sent.isascii()
    mail = email.message_from_bytes(sent.removesuffix(b".\r\n"), policy=email.policy.default)
    assert mail["Subject"] == text
    plain, rich = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert plain.get_content().strip() == text
    assert (rich.get_content().strip() if rich is not None else "") == html
