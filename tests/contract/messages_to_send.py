"""What the tests of senders send, and how long they wait. Knows no provider."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from libs.common.adapters.egress import Egress
from libs.common.domain.channels import Channel, Lane
from libs.common.domain.messages import Content, Event
from services.dispatcher.channels.base import Message

DEADLINE = timedelta(seconds=2)
RETRYABLE = (500, 503)
OPEN = Egress(frozenset(range(65536)), allow_http=True, allow_private=True)
SECRETS = tuple("whsec_" + base64.b64encode(letter * 24).decode() for letter in (b"a", b"b"))


def now() -> datetime:
    return datetime.now(UTC)


def a_message(channel: Channel, to: str, **fields: Any) -> Message:
    event = Event(
        id="1",
        source="/shop",
        type="shop.order.shipped",
        time=datetime(2024, 5, 1, 12, 0, tzinfo=UTC),
        tenant="acme",
        eventid="e1",
        topic="orders",
        priority="high",
        lane=Lane.CRITICAL,
        data=Content(title="Shipped", content="Unterwegs: Grüße", data={"order": 7}),
    )
    given = Message("d8d6b1de-0000-5000-8000-000000000001", "n1", channel, "ann", to, "Shipped", "Grüße", event)
    return replace(given, **fields)
