"""The link by which one click unsubscribes, as each way of sending mail carries it: over real sockets (RFC 8058)."""

import email
import email.policy
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from libs.common.domain.channels import Channel
from libs.common.domain.messages import Event
from libs.common.domain.unsubscribe import Link, link_key, unsubscribe_url
from libs.common.testing.mail_servers import mail_server
from services.dispatcher.channels.base import Message
from services.dispatcher.channels.contract import encode as encode_contract
from services.dispatcher.channels.sendgrid import encode as encode_sendgrid
from services.dispatcher.channels.smtp import SmtpSender, SmtpServer

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
URL = unsubscribe_url("https://notify.example.com", link_key("a secret"), Link("acme", "s" * 128))
EVENT = Event(id="1", source="/shop", time=NOON, tenant="acme", eventid="e1")
PLAIN = Message("d-1", "n1", Channel.EMAIL, "ann", "ann@example.org", "Grüße " * 20, "On its way", EVENT)
MESSAGE = replace(PLAIN, unsubscribe_url=URL)


async def sent_by_smtp(message: Message) -> bytes:
    async with mail_server() as server:
        sender = SmtpSender(
            SmtpServer("127.0.0.1", server.port, "news@sigmora.example"), timedelta(seconds=5), lambda: NOON
        )
        await sender.send(message)
    return bytes(server.mails[0].removesuffix(b".\r\n"))


async def test_a_mail_has_both_headers_on_lines_of_their_own() -> None:
    """The standard library encodes a word of over 78 characters, and a link so encoded is no link."""
    lines = (await sent_by_smtp(MESSAGE)).split(b"\r\n")
    assert f"List-Unsubscribe: <{URL}>".encode() in lines
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines
    assert max(map(len, lines)) < 998


async def test_the_other_headers_are_as_without_it() -> None:
    both = [await sent_by_smtp(message) for message in (PLAIN, MESSAGE)]
    plain, with_link = (email.message_from_bytes(raw, policy=email.policy.default) for raw in both)
    added = {"List-Unsubscribe", "List-Unsubscribe-Post"}
    assert {**dict(plain.items())} == {name: value for name, value in with_link.items() if name not in added}
    assert set(with_link.keys()) - set(plain.keys()) == added


def test_sendgrid_is_told_the_headers() -> None:
    assert json.loads(encode_sendgrid(MESSAGE, "news@sigmora.example"))["headers"] == {
        "List-Unsubscribe": f"<{URL}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    assert "headers" not in json.loads(encode_sendgrid(PLAIN, "news@sigmora.example"))


def test_an_http_provider_finds_the_link_among_the_metadata() -> None:
    assert json.loads(encode_contract(MESSAGE))["metadata"] == {**MESSAGE.metadata, "unsubscribe_url": URL}
    assert json.loads(encode_contract(PLAIN))["metadata"] == PLAIN.metadata
