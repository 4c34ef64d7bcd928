"""What every HTTP sender makes of every way in which a provider can behave. All of it over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import msgspec
import pytest

from libs.common.adapters.egress import Egress
from libs.common.adapters.http import Outbound, open_outbound
from libs.common.adapters.vapid import Vapid
from libs.common.domain import keys
from libs.common.domain.channels import Channel
from libs.common.domain.messages import Content, Event
from libs.common.domain.outcome import Accepted, NotNow, Outcome, Refused, Unknown
from libs.common.testing.providers import (
    Behaviour,
    Provider,
    answers,
    babbles,
    bombs,
    breaks_off,
    closes,
    drips,
    hangs,
    miscounts,
    never_ends,
    provider,
    resets,
)
from services.dispatcher.channels.base import Message, Sender
from services.dispatcher.channels.contract import ContractSender
from services.dispatcher.channels.fcm import FcmSender
from services.dispatcher.channels.sendgrid import SendGridSender
from services.dispatcher.channels.twilio import TwilioSender
from services.dispatcher.channels.webhook import WebhookSender
from services.dispatcher.channels.webpush import WebPushSender

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
DEADLINE = timedelta(seconds=20)
"""More than a busy machine needs for 100 calls."""
SHORT = timedelta(seconds=1.5)
"""For providers that would use up any deadline: long enough for a busy machine to answer a first line."""
RETRYABLE = (408, 425, 429, 500, 502, 503, 504)


def a_message(number: int = 1) -> Message:
    event = Event(
        id=str(number),
        source="/shop",
        time=NOON,
        tenant="acme",
        eventid=keys.event_id("acme", "/shop", str(number)),
        topic="orders",
        data=Content(title="Shipped", content="On its way"),
    )
    return Message(f"delivery-{number}", "n1", Channel.EMAIL, "ann", "ann@example.org", "Shipped", "On its way", event)


class AnyToken:
    """Access tokens that are always to be had."""

    async def get(self, refused: str = "") -> str:
        return "another-token" if refused else "token"


@dataclass(frozen=True)
class Kind:
    """One HTTP sender: how it is made, where its messages go, and where it differs from the others."""

    make: Callable[[Outbound, str, timedelta], Sender]
    address: Callable[[str], str] = lambda _url: "ann@example.org"
    secrets: tuple[str, ...] = ()
    guarded: bool = False
    differs: Mapping[str, Outcome] = field(default_factory=dict)

    def message(self, url: str, number: int = 1) -> Message:
        return replace(a_message(number), to=self.address(url), secrets=self.secrets)


def contract(outbound: Outbound, url: str, deadline: timedelta) -> Sender:
    return ContractSender(outbound, url, "key", deadline, RETRYABLE, lambda: NOON)


def sendgrid(outbound: Outbound, url: str, deadline: timedelta) -> Sender:
    return SendGridSender(outbound, url, "key", "news@sigmora.example", deadline, RETRYABLE, lambda: NOON)


def twilio(outbound: Outbound, url: str, deadline: timedelta) -> Sender:
    account, origin = ("AC1", "key"), {"From": "+15550001"}
    return TwilioSender(outbound, url, account, origin, deadline, RETRYABLE, lambda: NOON)


def fcm(outbound: Outbound, url: str, deadline: timedelta) -> Sender:
    return FcmSender(outbound, url, "project", AnyToken(), deadline, RETRYABLE, lambda: NOON)


def webhook(outbound: Outbound, _url: str, deadline: timedelta) -> Sender:
    return WebhookSender(outbound, deadline, RETRYABLE, lambda: NOON)


VAPID = Vapid("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE", "mailto:us@sigmora.example")


def webpush(outbound: Outbound, _url: str, deadline: timedelta) -> Sender:
    return WebPushSender(outbound, VAPID, deadline, RETRYABLE, lambda: NOON)


def a_subscription(url: str) -> str:
    # Any point of the curve will do for a browser's public key; ours is one.
    return msgspec.json.encode({"endpoint": url, "keys": {"p256dh": VAPID.public_key, "auth": "A" * 22}}).decode()


def whatever_the_body(outcome: Outcome) -> dict[str, Outcome]:
    """For those whose status says it all."""
    return {name: outcome for name in BEHAVIOURS if name.startswith("accepted, ") or name in CUT_OFF}


@pytest.fixture
async def server() -> AsyncIterator[Provider]:
    async with provider() as behaving:
        behaving.always = taken
        yield behaving


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    async with open_outbound() as out:
        yield out


taken = answers(
    "202 Accepted", b'{"provider_message_id": "m-1", "sid": "m-1", "name": "m-1"}', X_Message_Id="m-1", Location="m-1"
)
"""An acceptance in everybody's words."""
HTTP_DATE = "Wed, 01 May 2024 12:00:40 GMT"
BEHAVIOURS: dict[str, tuple[Behaviour, Outcome]] = {
    "accepted": (taken, Accepted("m-1")),
    "accepted, without an id": (answers("200 OK", b"{}"), Accepted("")),
    "accepted, unreadable": (answers("200 OK", b"<html>"), Unknown("unreadable_answer")),
    "accepted, empty": (answers("204 No Content"), Unknown("unreadable_answer")),
    "accepted, not an object": (answers("200 OK", b"[1]"), Unknown("unreadable_answer")),
    "accepted, not text": (answers("200 OK", b'{"a": "\xff"}'), Unknown("unreadable_answer")),
    "accepted, nested without end": (answers("200 OK", b'{"a":' + b"[" * 50_000), Unknown("unreadable_answer")),
    "redirected": (answers("302 Found", Location="http://127.0.0.1:1/"), Refused("http_302")),
    "bad request": (answers("400 Bad Request", b"{}"), Refused("http_400")),
    "not allowed": (answers("401 Unauthorized"), Refused("http_401")),
    "in the way": (answers("409 Conflict"), Refused("http_409")),
    "gone": (answers("410 Gone"), Refused("http_410")),
    "too slow for it": (answers("408 Request Timeout"), NotNow("http_408")),
    "too early": (answers("425 Too Early"), NotNow("http_425")),
    "too many": (answers("429 Slow Down"), NotNow("http_429")),
    "too many, seconds": (answers("429 Slow Down", Retry_After="7"), NotNow("http_429", timedelta(seconds=7))),
    "too many, a date": (answers("429 Slow Down", Retry_After=HTTP_DATE), NotNow("http_429", timedelta(seconds=40))),
    "too many, the past": (answers("429 Slow Down", Retry_After="Wed, 01 May 1996 12:00:40 GMT"), NotNow("http_429")),
    "too many, negative": (answers("429 Slow Down", Retry_After="-1"), NotNow("http_429")),
    "too many, for ever": (answers("429 Slow Down", Retry_After="9" * 400), NotNow("http_429", timedelta(days=1))),
    "too many, junk": (answers("429 Slow Down", Retry_After="when I am done"), NotNow("http_429")),
    "too many, odd digits": (answers("429 Slow Down", Retry_After="\u00b2"), NotNow("http_429")),
    "broken": (answers("500 Oops"), NotNow("http_500")),
    "unavailable": (answers("503 Later", Retry_After="3"), NotNow("http_503", timedelta(seconds=3))),
    "broken, nobody knows where": (answers("507 Full"), Unknown("http_507")),
    "hangs": (hangs, Unknown("timeout")),
    "resets": (resets, Unknown("reset")),
    "closes": (closes, Unknown("disconnected")),
    "babbles": (babbles, Unknown("garbage")),
    "drips": (drips, Unknown("unreadable_answer")),
    "never ends": (never_ends, Unknown("unreadable_answer")),
    "breaks off": (breaks_off, Unknown("unreadable_answer")),
    "miscounts": (miscounts, Unknown("garbage")),
    "bombs": (bombs, Unknown("unreadable_answer")),
}


SLOW = {"hangs", "drips"}
CUT_OFF = {"drips", "never ends", "breaks off", "bombs"}
NAMELESS = {"accepted, without an id": Unknown("unreadable_answer")}
SENDERS = {
    "contract": Kind(contract, differs={"not allowed": NotNow("http_401")}),
    "sendgrid": Kind(sendgrid, differs=whatever_the_body(Accepted()) | {"not allowed": NotNow("http_401")}),
    "twilio": Kind(twilio, lambda _: "+4930123", differs=NAMELESS | {"not allowed": NotNow("http_401")}),
    "fcm": Kind(fcm, lambda _: "t0ken", differs=NAMELESS | {"not allowed": Accepted("m-1")}),
    "webhook": Kind(
        webhook,
        lambda url: f"{url}/hook",
        ("whsec_c2VjcmV0",),
        guarded=True,
        differs=whatever_the_body(Accepted())
        | {"accepted": Accepted(), "gone": Refused("gone", endpoint_gone=True), "in the way": NotNow("http_409")},
    ),
    "webpush": Kind(
        webpush,
        a_subscription,
        guarded=True,
        differs=whatever_the_body(Accepted()) | {"gone": Refused("unregistered", endpoint_gone=True)},
    ),
}
"""Every HTTP sender that there is; all keep to this suite."""


@dataclass(frozen=True)
class Line:
    """A sender of some kind, and what is sent by it to a URL."""

    kind: Kind
    outbound: Outbound
    url: str

    async def send(self, number: int = 1, deadline: timedelta = DEADLINE) -> Outcome:
        return await self.kind.make(self.outbound, self.url, deadline).send(self.kind.message(self.url, number))


@pytest.fixture(params=SENDERS)
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Callable[[str], Line]]:
    """Makes a line of each kind to any URL."""
    kind = SENDERS[request.param]
    rules = Egress(frozenset(range(65536)), allow_http=True, allow_private=True) if kind.guarded else None
    async with open_outbound(rules) as out:
        yield lambda url: Line(kind, out, url)


@pytest.mark.parametrize("name", BEHAVIOURS)
async def test_every_behaviour_has_its_outcome_and_leaves_the_pool_whole(
    server: Provider, connect: Callable[[str], Line], name: str
) -> None:
    line = connect(server.url)
    behaviour, expected = BEHAVIOURS[name]
    server.script.append(behaviour)

    async with asyncio.timeout(30):  # one that drips would take hours without a deadline for all of it
        assert await line.send(deadline=SHORT if name in SLOW else DEADLINE) == line.kind.differs.get(name, expected)

    outcomes = await asyncio.gather(*(line.send(number) for number in range(100)))
    assert set(outcomes) == {line.kind.differs.get("accepted", Accepted("m-1"))}


async def test_a_refusal_stands_however_long_its_body(server: Provider, connect: Callable[[str], Line]) -> None:
    async def refuses_at_length(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 200_000)
        await writer.drain()
        await asyncio.sleep(3600)

    server.script.append(refuses_at_length)
    assert await connect(server.url).send() == Refused("http_400")


async def test_a_refused_connection_was_surely_not_sent(connect: Callable[[str], Line]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert await connect(f"http://127.0.0.1:{closed.getsockname()[1]}").send() == NotNow("connect")


async def test_a_connection_that_takes_too_long_was_surely_not_sent(connect: Callable[[str], Line]) -> None:
    """A full queue of connections: the handshake is never answered."""
    with socket.socket() as full, ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            other = waiting.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        line = connect(f"http://127.0.0.1:{full.getsockname()[1]}")
        assert await line.send(deadline=SHORT) == NotNow("connect_timeout")


async def test_a_name_that_does_not_resolve_was_surely_not_sent(connect: Callable[[str], Line]) -> None:
    assert await connect("http://nobody.invalid").send() in (NotNow("dns"), NotNow("connect_timeout"))


async def test_a_server_that_does_not_speak_tls_was_surely_not_sent(outbound: Outbound, server: Provider) -> None:
    outcome = await contract(outbound, server.url.replace("http:", "https:"), SHORT).send(a_message())
    assert outcome in (NotNow("tls"), NotNow("connect"), NotNow("connect_timeout"))
    assert server.requests == []


async def test_customers_urls_are_dialled_through_the_guard(server: Provider) -> None:
    async with open_outbound(Egress(frozenset({urlsplit(server.url).port or 0}), allow_http=True)) as guarded:
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            assert await contract(guarded, url, DEADLINE).send(a_message()) == Refused("blocked_address")
    assert server.requests == []


async def test_the_request_keeps_to_the_contract(server: Provider, outbound: Outbound) -> None:
    await contract(outbound, server.url + "/", DEADLINE).send(a_message())

    [(headers, body)] = server.requests
    assert headers["idempotency-key"] == "delivery-1"
    assert headers["authorization"] == "Bearer key"
    assert headers["content-type"] == "application/json"
    assert body == {
        "delivery_id": "delivery-1",
        "channel": "EMAIL",
        "to": "ann@example.org",
        "subject": "Shipped",
        "body": "On its way",
        "metadata": {"notification_id": "n1", "event_id": a_message().event.eventid, "topic": "orders"},
    }
