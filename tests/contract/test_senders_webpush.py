"""What a browser's push service is told, and that the browser can read it. Over real sockets."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import http_ece
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import ECKey

from libs.common.adapters.http import Outbound
from libs.common.adapters.vapid import Vapid, decode, encode
from libs.common.domain.channels import Channel
from libs.common.domain.outcome import Accepted, Refused
from libs.common.testing.providers import Provider, answers
from services.dispatcher.channels.webpush import WebPushSender
from tests.contract.messages_to_send import DEADLINE, RETRYABLE, a_message, now


class Browser:
    """Holds the keys of a subscription, and reads what comes."""

    def __init__(self, url: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.secret = b"0123456789abcdef"
        public = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = {"p256dh": encode(public), "auth": encode(self.secret)}
        self.subscription = json.dumps({"endpoint": url, "expirationTime": None, "keys": keys})

    def read(self, body: bytes) -> dict[str, Any]:
        text = http_ece.decrypt(body, private_key=self.key, auth_secret=self.secret, version="aes128gcm")
        found: dict[str, Any] = msgspec.json.decode(text)
        return found


VAPID = Vapid(encode(b"\x01" * 32), "mailto:us@sigmora.example")


def webpush(outbound: Outbound) -> WebPushSender:
    return WebPushSender(outbound, VAPID, DEADLINE, RETRYABLE, now)


async def test_a_browser_can_read_what_it_gets(server: Provider, outbound: Outbound) -> None:
    server.always = answers("201 Created", Location="/m/1")
    browser = Browser(f"{server.url}/push/1")
    message = a_message(Channel.PUSH, browser.subscription)
    assert await webpush(outbound).send(message) == Accepted("/m/1")

    [(headers, _)], [body] = server.requests, server.bodies
    assert browser.read(body) == {"title": "Shipped", "body": "Grüße", "data": message.metadata}
    assert headers["content-encoding"] == "aes128gcm"
    assert (headers["ttl"], headers["urgency"]) == (str(28 * 86_400), "high")
    assert headers["topic"] == message.delivery_id.replace("-", "")


async def test_the_push_service_can_tell_who_we_are(server: Provider, outbound: Outbound) -> None:
    """RFC 8292: the token is signed by the key that stands beside it, and is for this push service alone."""
    await webpush(outbound).send(a_message(Channel.PUSH, Browser(f"{server.url}/push/1").subscription))

    [(headers, _)] = server.requests
    token, key = headers["authorization"].removeprefix("vapid t=").split(", k=")
    point = decode(key)
    public = {"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])}
    claims = jwt.decode(token, ECKey.import_key(public)).claims
    assert claims["aud"] == server.url
    assert claims["sub"] == "mailto:us@sigmora.example"
    assert timedelta(hours=1) < datetime.fromtimestamp(claims["exp"], UTC) - now() <= timedelta(hours=24)


@pytest.mark.parametrize("text", ["x" * 5000, "\U0001f600" * 3000, '"' * 4000, "\x01" * 3000])
async def test_a_long_text_is_cut_to_what_push_services_take(server: Provider, outbound: Outbound, text: str) -> None:
    browser = Browser(server.url)
    await webpush(outbound).send(a_message(Channel.PUSH, browser.subscription, text=text))

    [body] = server.bodies
    assert len(body) <= 4096
    shown = browser.read(body)["body"]
    assert text.startswith(shown)
    assert len(body) > 4096 - 100 or len(shown) > 500


async def test_a_message_is_not_held_for_a_browser_beyond_its_use(server: Provider, outbound: Outbound) -> None:
    message = a_message(Channel.PUSH, Browser(server.url).subscription)
    for expires in (timedelta(minutes=5), timedelta(minutes=-5)):
        event = msgspec.structs.replace(message.event, expiresat=now() + expires)
        await webpush(outbound).send(replace(message, event=event))
    ttls = [int(headers["ttl"]) for headers, _ in server.requests]
    assert 0 < ttls[0] <= 300
    assert ttls[1] == 0


@pytest.mark.parametrize(
    "token",
    [
        "{",
        "{}",
        '{"endpoint": "https://push.example", "keys": {"p256dh": "!", "auth": "AAAA"}}',
        '{"endpoint": "https://push.example", "keys": {"p256dh": "AAAA", "auth": "AAAA"}}',
        '{"endpoint": "https://push.example", "keys": {"p256dh": "BAAA", "auth": 7}}',
        Browser("https://[push").subscription,
    ],
)
async def test_a_subscription_that_is_none_is_refused(outbound: Outbound, token: str) -> None:
    assert await webpush(outbound).send(a_message(Channel.PUSH, token)) == Refused("invalid_subscription")
