"""Twilio, SendGrid, FCM and the webhook sink, on real sockets."""

import base64
import hashlib
import hmac
import time
from typing import Any

import pytest

from deploy.simulator import Simulator

TWILIO = "/2010-04-01/Accounts/AC123/Messages.json"
SMS = {"To": "+15551234567", "From": "+15550000000", "Body": "code 123"}
MAIL = {
    "personalizations": [{"to": [{"email": "ann@example.com"}], "custom_args": {"delivery_id": "d1"}}],
    "from": {"email": "noreply@example.com"},
    "subject": "Hello",
    "content": [{"type": "text/plain", "value": "hi"}, {"type": "text/html", "value": "<b>hi</b>"}],
}
FCM = "/v1/projects/demo/messages:send"
PUSH = {"message": {"token": "tok-1", "notification": {"title": "T", "body": "B"}, "data": {"delivery_id": "d1"}}}


async def test_twilio_answers_with_a_sid(sim: Simulator, http: Any) -> None:
    form = {**SMS, "StatusCallback": "https://sigmora.example/cb?notification_id=n1&delivery_id=d1"}
    async with http.post(sim.url("sms") + TWILIO, data=form) as answer:
        told = await answer.json()
    (message,) = sim.inbox.messages

    assert (answer.status, told["status"], told["to"]) == (201, "queued", "+15551234567")
    assert told["sid"] == message.id
    assert len(told["sid"]) == 34
    assert (message.body, message.delivery_id, message.protocol) == ("code 123", "d1", "twilio")
    assert message.metadata["notification_id"] == "n1"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"To": ""}, 21604),
        ({"To": "555"}, 21211),
        ({"From": ""}, 21603),
        ({"Body": ""}, 21602),
        ({"Body": "x" * 1601}, 21617),
        ({"StatusCallback": "http://[bad"}, 21609),  # it was a 500, and its attempt stayed pending
    ],
)
async def test_twilio_refuses_in_its_own_words(sim: Simulator, http: Any, changes: dict[str, str], code: int) -> None:
    async with http.post(sim.url("sms") + TWILIO, data={**SMS, **changes}) as answer:
        told = await answer.json()

    assert (answer.status, told["status"], told["code"]) == (400, 400, code)


@pytest.mark.parametrize(
    ("kind", "action", "status", "code"),
    [
        ("status", {"code": 429}, 429, 20429),
        ("status", {"code": 500}, 500, 20500),
        ("refuse_recipient", {}, 400, 21211),
        ("refuse_recipient", {"code": 450}, 503, 20503),
    ],
)
async def test_faults_speak_twilio(
    sim: Simulator, http: Any, fault: Any, kind: str, action: dict[str, int], status: int, code: int
) -> None:
    await fault(kind, **action)
    async with http.post(sim.url("sms") + TWILIO, data=SMS) as answer:
        assert (answer.status, (await answer.json())["code"]) == (status, code)


async def test_twilio_asks_for_basic_authentication(start: Any, http: Any) -> None:
    sim = await start(api_key="secret")
    statuses = []
    for password in ("wrong", "secret"):
        credential = base64.b64encode(f"AC123:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {credential}"}
        async with http.post(sim.url("sms") + TWILIO, data=SMS, headers=headers) as answer:
            statuses.append((answer.status, (await answer.json()).get("code")))

    assert statuses == [(401, 20003), (201, None)]


async def test_sendgrid_answers_with_a_header(sim: Simulator, http: Any) -> None:
    async with http.post(f"{sim.url('email')}/v3/mail/send", json=MAIL) as answer:
        assert (answer.status, await answer.read()) == (202, b"")
    (message,) = sim.inbox.messages

    assert answer.headers["X-Message-Id"] == message.id
    assert (message.to, message.subject, message.body, message.html) == ("ann@example.com", "Hello", "hi", "<b>hi</b>")
    assert (message.delivery_id, message.protocol) == ("d1", "sendgrid")


@pytest.mark.parametrize(
    ("left_out", "field"), [("personalizations", "personalizations"), ("subject", "subject"), ("from", "from")]
)
async def test_sendgrid_refuses_in_its_own_words(sim: Simulator, http: Any, left_out: str, field: str) -> None:
    mail = {name: value for name, value in MAIL.items() if name != left_out}
    async with http.post(f"{sim.url('email')}/v3/mail/send", json=mail) as answer:
        told = await answer.json()

    assert (answer.status, told["errors"][0]["field"]) == (400, field)


async def test_fcm_answers_with_a_name(sim: Simulator, http: Any) -> None:
    async with http.post(sim.url("push") + FCM, json=PUSH) as answer:
        told = await answer.json()
    (message,) = sim.inbox.messages

    assert (answer.status, told) == (200, {"name": message.id})
    assert message.id.startswith("projects/demo/messages/")
    assert (message.to, message.title, message.body, message.delivery_id) == ("tok-1", "T", "B", "d1")


async def test_fcm_says_that_a_token_is_unregistered(sim: Simulator, http: Any, fault: Any) -> None:
    await fault("refuse_recipient")
    async with http.post(sim.url("push") + FCM, json=PUSH) as answer:
        error = (await answer.json())["error"]

    assert (answer.status, error["status"], error["details"][0]["errorCode"]) == (404, "NOT_FOUND", "UNREGISTERED")


async def test_fcm_names_the_field_that_is_wrong(sim: Simulator, http: Any) -> None:
    async with http.post(sim.url("push") + FCM, json={"message": {}}) as answer:
        error = (await answer.json())["error"]

    assert (answer.status, error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["details"][1]["fieldViolations"][0]["field"] == "message.token"


async def test_fcm_takes_the_token_that_its_endpoint_gave(start: Any, http: Any) -> None:
    sim = await start(api_key="secret")
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "a.b.c"}
    async with http.post(f"{sim.url('push')}/token", data=grant) as answer:
        token = await answer.json()
    async with http.post(f"{sim.url('push')}/token", data={**grant, "assertion": "x"}) as refused:
        assert (refused.status, (await refused.json())["error"]) == (400, "invalid_grant")
    statuses = []
    for bearer in ("nobody's", token["access_token"]):
        headers = {"Authorization": f"Bearer {bearer}"}
        async with http.post(sim.url("push") + FCM, json=PUSH, headers=headers) as sent:
            statuses.append(sent.status)

    assert (token["token_type"], token["expires_in"]) == ("Bearer", 3600)
    assert statuses == [401, 200]


async def test_a_webhook_without_a_secret_is_taken_unchecked(sim: Simulator, http: Any) -> None:
    headers = {"webhook-id": "msg_1", "X-Custom": "yes", "Content-Type": "application/json"}
    async with http.post(
        f"{sim.url('webhook')}/hooks/orders", data=b'{"type":"order.paid"}', headers=headers
    ) as answer:
        assert answer.status == 200
    (message,) = sim.inbox.messages

    assert (message.to, message.subject, message.body) == ("orders", "order.paid", '{"type":"order.paid"}')
    assert (message.idempotency_key, message.verification) == ("msg_1", "unchecked")
    assert message.headers["x-custom"] == "yes"


async def test_a_webhook_with_a_secret_is_verified(sim: Simulator, http: Any) -> None:
    key, body, now = b"k" * 24, b'{"type":"order.paid"}', str(int(time.time()))
    secret = {"secret": "whsec_" + base64.b64encode(key).decode()}
    async with http.put(f"{sim.url('webhook')}/hooks/orders/secret", json=secret) as answer:
        assert answer.status == 204
    digest = hmac.new(key, b".".join((b"msg_1", now.encode(), body)), hashlib.sha256).digest()
    good = "v1," + base64.b64encode(digest).decode()
    statuses = []
    for signature in ("v1,bm8=", good, good):
        headers = {"webhook-id": "msg_1", "webhook-timestamp": now, "webhook-signature": signature}
        async with http.post(f"{sim.url('webhook')}/hooks/orders", data=body, headers=headers) as answer:
            statuses.append(answer.status)

    assert statuses == [401, 200, 200]
    assert [a.verification for a in sim.inbox.attempts] == ["bad_signature", "ok", "ok"]
    assert [(m.verification, m.attempts) for m in sim.inbox.messages] == [("ok", 3)]


async def test_a_secret_that_is_none_is_refused(sim: Simulator, http: Any) -> None:
    async with http.put(f"{sim.url('webhook')}/hooks/orders/secret", json={"secret": "whsec_?"}) as answer:
        problem = await answer.json(content_type="application/problem+json")

    assert (answer.status, problem["errors"][0]["field"]) == (400, "secret")


async def test_a_webhook_endpoint_can_be_gone(sim: Simulator, http: Any, fault: Any) -> None:
    await fault("refuse_recipient", rule={"to": "orders"})
    async with http.post(f"{sim.url('webhook')}/hooks/orders", data=b"{}") as answer:
        assert answer.status == 410
