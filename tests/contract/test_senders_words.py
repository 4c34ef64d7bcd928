"""What each provider is told, in its own words, and what its own words mean. Over real sockets."""

import base64
import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from libs.common.adapters.http import Outbound
from libs.common.domain.channels import Channel
from libs.common.domain.outcome import Accepted, NotNow, Outcome, Refused, Unknown
from libs.common.testing.providers import Provider, answers
from services.dispatcher.channels.base import Message
from services.dispatcher.channels.fcm import FcmSender
from services.dispatcher.channels.sendgrid import SendGridSender
from services.dispatcher.channels.twilio import TwilioSender
from services.dispatcher.channels.webhook import WebhookSender
from tests.contract.messages_to_send import DEADLINE, RETRYABLE, SECRETS, a_message, now

# webhook


def hook(server: Provider, **fields: Any) -> Message:
    return a_message(Channel.WEBHOOK, f"{server.url}/hook", **({"secrets": SECRETS} | fields))


async def test_the_official_library_verifies_a_webhook_by_each_of_its_secrets(
    server: Provider, outbound: Outbound
) -> None:
    """S2: also while a secret is being replaced."""
    message = hook(server)
    assert await WebhookSender(outbound, DEADLINE, (), now).send(message) == Accepted()

    [(headers, _)], [body] = server.requests, server.bodies
    for secret in SECRETS:
        payload = Webhook(secret).verify(body, headers)
    assert headers["webhook-id"] == message.delivery_id
    assert headers["content-type"] == "application/json"
    assert payload == {
        "type": "shop.order.shipped",
        "timestamp": "2024-05-01T12:00:00Z",
        "data": {
            "notification_id": "n1",
            "event_id": "e1",
            "topic": "orders",
            "priority": "high",
            "category": "",
            "title": "Shipped",
            "content": "Grüße",
            "data": {"order": 7},
        },
    }


async def test_what_was_tampered_with_does_not_verify(server: Provider, outbound: Outbound) -> None:
    await WebhookSender(outbound, DEADLINE, (), now).send(hook(server))
    await WebhookSender(outbound, DEADLINE, (), lambda: now() - timedelta(minutes=6)).send(hook(server))
    (headers, _), (stale, _) = server.requests
    body = server.bodies[0]

    for secret, signed, text in (
        (SECRETS[0], headers, body.replace(b"7", b"8")),
        (SECRETS[0], headers | {"webhook-id": "another"}, body),
        ("whsec_" + base64.b64encode(b"c" * 24).decode(), headers, body),
        (SECRETS[0], stale, body),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(text, signed)


async def test_another_attempt_has_the_same_id_and_body_and_a_time_of_its_own(
    server: Provider, outbound: Outbound
) -> None:
    for seconds in (0, 60):
        await WebhookSender(outbound, DEADLINE, (), lambda s=seconds: now() - timedelta(seconds=s)).send(hook(server))
    (first, _), (second, _) = server.requests
    assert first["webhook-id"] == second["webhook-id"]
    assert first["webhook-timestamp"] != second["webhook-timestamp"]
    assert server.bodies[0] == server.bodies[1]


@pytest.mark.parametrize(
    ("secrets", "reason"), [((), "no_secret"), (("whsec_!",), "invalid_secret"), (("whsec_ü",), "invalid_secret")]
)
async def test_a_webhook_that_cannot_be_signed_is_not_sent(
    server: Provider, outbound: Outbound, secrets: tuple[str, ...], reason: str
) -> None:
    assert await WebhookSender(outbound, DEADLINE, (), now).send(hook(server, secrets=secrets)) == Refused(reason)
    assert server.requests == []


# SendGrid


def sendgrid(server: Provider, outbound: Outbound) -> SendGridSender:
    return SendGridSender(outbound, server.url, "key", "news@sigmora.example", DEADLINE, RETRYABLE, now)


async def test_sendgrid_gets_a_mail(server: Provider, outbound: Outbound) -> None:
    server.always = answers("202 Accepted", X_Message_Id="abc")
    message = a_message(Channel.EMAIL, "ann@example.org", html="<p>Grüße</p>")
    assert await sendgrid(server, outbound).send(message) == Accepted("abc")

    [(headers, body)] = server.requests
    assert headers["authorization"] == "Bearer key"
    assert body == {
        "personalizations": [
            {
                "to": [{"email": "ann@example.org"}],
                "custom_args": {
                    "delivery_id": message.delivery_id,
                    "notification_id": "n1",
                    "event_id": "e1",
                    "topic": "orders",
                },
            }
        ],
        "from": {"email": "news@sigmora.example"},
        "subject": "Shipped",
        "content": [{"type": "text/plain", "value": "Grüße"}, {"type": "text/html", "value": "<p>Grüße</p>"}],
    }


async def test_sendgrids_own_header_says_when_its_limit_is_lifted(server: Provider, outbound: Outbound) -> None:
    soon = int(now().timestamp()) + 90
    for value, low, high in ((str(soon), 60, 90), ("9" * 11, 86_400, 86_400), ("junk", None, None), ("5", None, None)):
        server.script.append(answers("429 Slow Down", X_RateLimit_Reset=value))
        outcome = await sendgrid(server, outbound).send(a_message(Channel.EMAIL, "ann@example.org"))
        assert isinstance(outcome, NotNow)
        if low is None:
            assert outcome.retry_after is None
        else:
            assert outcome.retry_after is not None
            assert low <= outcome.retry_after.total_seconds() <= high


# Twilio


def twilio(server: Provider, outbound: Outbound, **fields: Any) -> TwilioSender:
    return TwilioSender(outbound, server.url, ("AC1", "key"), {"From": "+15550001"}, DEADLINE, RETRYABLE, now, **fields)


async def test_twilio_gets_a_form(server: Provider, outbound: Outbound) -> None:
    server.always = answers("201 Created", b'{"sid": "SM1", "error_code": null, "status": "queued"}')
    sender = twilio(server, outbound, status_callback_url="https://sigmora.example/receipts?a=b")
    message = a_message(Channel.SMS, "+491701234567")
    assert await sender.send(message) == Accepted("SM1")

    [(headers, _)], [body] = server.requests, server.bodies
    form = {name: value for name, [value] in parse_qs(body.decode()).items()}
    assert base64.b64decode(headers["authorization"].removeprefix("Basic ")) == b"AC1:key"
    assert (form["To"], form["From"], form["Body"]) == ("+491701234567", "+15550001", "Grüße")
    assert dict(parse_qsl(urlsplit(form["StatusCallback"]).query)) == {
        "a": "b",
        "delivery_id": message.delivery_id,
        "notification_id": "n1",
    }


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        ("400 Bad Request", 21211, Refused("invalid_number")),
        ("400 Bad Request", 21610, Refused("opted_out")),
        ("400 Bad Request", 21614, Refused("not_a_mobile_number")),
        ("400 Bad Request", 21617, Refused("text_too_long")),
        ("400 Bad Request", 12345, Refused("twilio_12345")),
        ("400 Bad Request", "21211", Refused("http_400")),
        ("400 Bad Request", 21606, NotNow("sender_refused", timedelta(seconds=7))),
        ("401 Unauthorized", 20003, NotNow("account_refused", timedelta(seconds=7))),
        ("404 Not Found", 20404, NotNow("account_unknown", timedelta(seconds=7))),
        ("429 Slow Down", 20429, NotNow("rate_limited", timedelta(seconds=7))),
        ("429 Slow Down", 63038, NotNow("http_429", timedelta(seconds=7))),
        ("400 Bad Request", 30001, NotNow("queue_full", timedelta(seconds=7))),
        ("503 Later", 20503, NotNow("twilio_20503", timedelta(seconds=7))),
        ("502 Oops", 20500, Unknown("twilio_20500")),
    ],
)
async def test_twilios_code_says_more_than_its_status(
    server: Provider, outbound: Outbound, status: str, code: object, outcome: Outcome
) -> None:
    server.script.append(answers(status, json.dumps({"code": code, "status": 1}).encode(), Retry_After="7"))
    assert await twilio(server, outbound).send(a_message(Channel.SMS, "+4930")) == outcome


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ({"sid": "SM1", "status": "failed", "error_code": 30006}, Refused("landline")),
        ({"sid": "SM1", "status": "failed", "error_code": 12345}, Refused("twilio_12345")),
        ({"sid": "SM1", "status": "undelivered", "error_code": None}, Refused("failed")),
        ({"sid": "SM1", "status": "failed", "error_code": 30001}, NotNow("queue_full")),
        ({"sid": 7}, Unknown("unreadable_answer")),
    ],
)
async def test_a_text_that_was_taken_may_have_failed_already(
    server: Provider, outbound: Outbound, body: dict[str, object], outcome: Outcome
) -> None:
    server.script.append(answers("201 Created", json.dumps(body).encode()))
    assert await twilio(server, outbound).send(a_message(Channel.SMS, "+4930")) == outcome


# Firebase


class Tokens:
    """Gives out what it was given, the last one for ever."""

    def __init__(self, *given: str | NotNow) -> None:
        self.given = list(given)
        self.refused: list[str] = []

    async def get(self, refused: str = "") -> str | NotNow:
        self.refused.append(refused)
        return self.given.pop(0) if len(self.given) > 1 else self.given[0]


def fcm(server: Provider, outbound: Outbound, tokens: Tokens | None = None) -> FcmSender:
    return FcmSender(outbound, server.url, "shop-1", tokens or Tokens("token"), DEADLINE, RETRYABLE, now)


def google(code: str) -> bytes:
    details = [{"@type": "type.googleapis.com/google.rpc.Other"}, {"errorCode": code}]
    return json.dumps({"error": {"code": 1, "details": details}}).encode()


async def test_firebase_gets_a_message(server: Provider, outbound: Outbound) -> None:
    server.always = answers("200 OK", b'{"name": "projects/shop-1/messages/1"}')
    message = a_message(Channel.PUSH, "t0ken")
    assert await fcm(server, outbound).send(message) == Accepted("projects/shop-1/messages/1")

    [(headers, body)] = server.requests
    assert headers["authorization"] == "Bearer token"
    assert body["message"]["token"] == "t0ken"
    assert body["message"]["notification"] == {"title": "Shipped", "body": "Grüße"}
    assert body["message"]["data"] == {"delivery_id": message.delivery_id, **message.metadata}


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        ("404 Not Found", google("UNREGISTERED"), Refused("unregistered", endpoint_gone=True)),
        ("404 Not Found", b"<html>", Refused("http_404")),
        ("403 Forbidden", google("SENDER_ID_MISMATCH"), Refused("sender_id_mismatch")),
        ("403 Forbidden", b"{}", NotNow("http_403", timedelta(seconds=7))),
        ("400 Bad Request", google("INVALID_ARGUMENT"), Refused("invalid_argument")),
        ("400 Bad Request", b'{"error": {"details": {"a": 1}}}', Refused("http_400")),
        ("400 Bad Request", b'{"error": "x"}', Refused("http_400")),
        ("429 Slow Down", google("QUOTA_EXCEEDED"), NotNow("quota_exceeded", timedelta(seconds=7))),
        ("503 Later", google("UNAVAILABLE"), NotNow("unavailable", timedelta(seconds=7))),
        ("502 Oops", google("INTERNAL"), Unknown("http_502")),
    ],
)
async def test_firebases_code_says_more_than_its_status(
    server: Provider, outbound: Outbound, status: str, body: bytes, outcome: Outcome
) -> None:
    server.script.append(answers(status, body, Retry_After="7"))
    assert await fcm(server, outbound).send(a_message(Channel.PUSH, "t0ken")) == outcome


async def test_a_token_that_firebase_refuses_is_renewed_once(server: Provider, outbound: Outbound) -> None:
    server.always = answers("401 Unauthorized", b"{}")
    tokens = Tokens("old", "new")
    assert await fcm(server, outbound, tokens).send(a_message(Channel.PUSH, "t0ken")) == NotNow("http_401")
    assert [headers["authorization"] for headers, _ in server.requests] == ["Bearer old", "Bearer new"]
    assert tokens.refused == ["", "old"]


async def test_what_apple_refuses_costs_no_new_token(server: Provider, outbound: Outbound) -> None:
    """Firebase passes it on as a 401; each message to an iPhone fetched a token anew and was sent twice."""
    server.always = answers("401 Unauthorized", google("THIRD_PARTY_AUTH_ERROR"))
    tokens = Tokens("old", "new")
    outcome = await fcm(server, outbound, tokens).send(a_message(Channel.PUSH, "t0ken"))
    assert (outcome, tokens.refused) == (NotNow("third_party_auth_error"), [""])


async def test_without_an_access_token_nothing_is_sent(server: Provider, outbound: Outbound) -> None:
    tokens = Tokens(NotNow("token_http_500"))
    assert await fcm(server, outbound, tokens).send(a_message(Channel.PUSH, "t")) == NotNow("token_http_500")
    assert server.requests == []
