"""Connections to a mail server are kept between mails, and one that went stale costs nobody a mail."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.domain.channels import Channel
from libs.common.domain.messages import Event
from libs.common.domain.outcome import Accepted, NotNow, Refused, Unknown
from libs.common.testing.mail_servers import HANG, HANG_UP, MailServer, mail_server
from libs.common.testing.waiting import eventually
from services.dispatcher.channels import smtp_connections
from services.dispatcher.channels.base import Message
from services.dispatcher.channels.smtp import SmtpSender, SmtpServer

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
EVENT = Event(id="1", source="/shop", time=NOON, tenant="acme", eventid="e1")
MESSAGE = Message("d-1", "n1", Channel.EMAIL, "ann", "ann@example.org", "Hi", "Hello", EVENT)
TAKEN = Accepted("<d-1@sigmora.example>")


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with mail_server() as answering:
        yield answering


@asynccontextmanager
async def keeping(server: MailServer, keep: int = 4) -> AsyncIterator[SmtpSender]:
    at = SmtpServer("127.0.0.1", server.port, "news@sigmora.example")
    sender = SmtpSender(at, timedelta(milliseconds=500), lambda: NOON, keep=keep)
    try:
        yield sender
    finally:
        await sender.close()


def greetings(server: MailServer) -> int:
    """How many connections there were."""
    return sum(command.startswith("EHLO") for command in server.commands)


async def test_one_connection_serves_many_mails(server: MailServer) -> None:
    async with keeping(server) as sender:
        for _ in range(5):
            assert await sender.send(MESSAGE) == TAKEN
    assert (greetings(server), len(server.mails)) == (1, 5)
    await eventually(lambda: server.commands[-1] == "QUIT")


async def test_a_connection_is_not_used_for_ever(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_connections, "_MAILS", 2)
    async with keeping(server) as sender:
        for _ in range(4):
            assert await sender.send(MESSAGE) == TAKEN
    assert greetings(server) == 2


async def test_a_notification_can_be_found_by_its_mail(server: MailServer) -> None:
    async with keeping(server) as sender:
        await sender.send(MESSAGE)
    assert b"X-Sigmora-Notification-Id: n1\r\n" in server.mails[0]


@pytest.mark.parametrize("command", ["MAIL", "RCPT"])
@pytest.mark.parametrize("reply", [HANG_UP, "421 idle for too long"])
async def test_a_stale_connection_is_replaced_once(server: MailServer, command: str, reply: str) -> None:
    async with keeping(server) as sender:
        await sender.send(MESSAGE)
        server.answer_once(command, reply)
        assert await sender.send(MESSAGE) == TAKEN
        assert greetings(server) == 2
        server.replies[command] = reply
        assert await sender.send(MESSAGE) == NotNow("disconnected" if reply == HANG_UP else "smtp_421")
        assert greetings(server) == 3
    assert len(server.mails) == 2


@pytest.mark.parametrize("command", ["greeting", "MAIL"])
async def test_a_fresh_connection_that_is_not_welcome_says_nothing_of_the_mail(
    server: MailServer, command: str
) -> None:
    """The kept one had been welcome: a server that refused us after its restart made the mail undeliverable."""
    async with keeping(server) as sender:
        await sender.send(MESSAGE)
        server.answer_once("RCPT", HANG_UP)
        if command == "MAIL":
            server.answer_once("MAIL", "250 ok")
        server.replies[command] = "554 not you"
        assert await sender.send(MESSAGE) == NotNow("smtp_554")


async def test_after_data_a_kept_connection_is_as_uncertain_as_any(server: MailServer) -> None:
    async with keeping(server) as sender:
        await sender.send(MESSAGE)
        server.answer_once(".", HANG_UP)
        assert await sender.send(MESSAGE) == Unknown("disconnected")
    assert (greetings(server), len(server.mails)) == (1, 2)


async def test_a_refusal_on_a_kept_connection_is_a_refusal(server: MailServer) -> None:
    async with keeping(server) as sender:
        await sender.send(MESSAGE)
        server.answer_once("RCPT", "550 no such user")
        assert await sender.send(MESSAGE) == Refused("smtp_550")
        assert greetings(server) == 1
        assert await sender.send(MESSAGE) == TAKEN, "the next mail starts afresh"
        assert greetings(server) == 2


async def test_when_one_connection_has_gone_the_older_ones_are_not_asked(server: MailServer) -> None:
    """Each would take its second: the deadlines of three mails went by while a fresh connection would have worked."""
    async with keeping(server) as sender:
        time = later(sender)
        assert await asyncio.gather(*(sender.send(MESSAGE) for _ in range(4))) == [TAKEN] * 4
        assert greetings(server) == 4
        server.replies["NOOP"] = HANG
        time(10)
        assert await sender.send(MESSAGE) == TAKEN
        assert (server.commands.count("NOOP"), greetings(server)) == (1, 5)
        assert await sender.send(MESSAGE) == TAKEN
    await eventually(lambda: server.open == 0)


async def test_a_deadline_while_a_kept_connection_is_asked_leaves_none_open(server: MailServer) -> None:
    async with keeping(server) as sender:
        time = later(sender)
        await sender.send(MESSAGE)
        server.replies["NOOP"] = HANG
        time(10)
        sending = asyncio.create_task(sender.send(MESSAGE))
        await eventually(lambda: "NOOP" in server.commands)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await eventually(lambda: server.open == 0)


async def test_a_goodbye_that_nobody_answers_changes_nothing(server: MailServer) -> None:
    server.replies["QUIT"] = HANG
    async with keeping(server) as sender:
        assert await sender.send(MESSAGE) == TAKEN


@pytest.mark.parametrize(
    ("idle", "reply", "connections", "asked"),
    [(1, "250 ok", 1, False), (10, "250 ok", 1, True), (10, HANG_UP, 2, True), (10, HANG, 2, True), (70, "", 2, False)],
)
async def test_how_long_it_was_idle_decides_what_is_done_first(
    server: MailServer, idle: float, reply: str, connections: int, asked: bool
) -> None:
    server.replies["NOOP"] = reply
    async with keeping(server) as sender:
        time = later(sender)
        await sender.send(MESSAGE)
        time(idle)
        assert await sender.send(MESSAGE) == TAKEN
    assert greetings(server) == connections
    assert ("NOOP" in server.commands) is asked


def later(sender: SmtpSender) -> Callable[[float], None]:
    """Lets time pass for the sender's connections."""
    now = [0.0]
    sender._connections._now = lambda: now[0]  # type: ignore[method-assign]  # the clock of a pool that the sender makes

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


async def test_no_more_are_kept_than_asked_for(server: MailServer) -> None:
    async with keeping(server, keep=2) as sender:
        mails = [replace(MESSAGE, delivery_id=f"d-{number}") for number in range(6)]
        await asyncio.gather(*(sender.send(mail) for mail in mails))
        assert len(server.mails) == 6
        assert server.commands.count("QUIT") == 4
