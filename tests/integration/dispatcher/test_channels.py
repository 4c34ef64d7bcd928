"""Every channel on a real Kafka and a real database, with the providers' protocols spoken by the simulator."""

import asyncio
import json
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy.simulator import Settings as SimulatorSettings
from deploy.simulator import Simulator
from deploy.simulator.rules import RefuseRecipient, Rule, Status
from libs.common.domain import keys
from libs.common.domain.channels import Channel
from libs.common.settings import EnvironmentSettings
from libs.common.testing.waiting import eventually
from services.dispatcher.provider_settings import (
    EmailSettings,
    FcmSettings,
    ProviderSettings,
    SendGridSettings,
    SmtpSettings,
    TwilioSettings,
    WebhookSettings,
)
from services.dispatcher.settings import DispatchSettings, Settings

pytestmark = pytest.mark.integration

SECRET = "whsec_c2lnbW9yYSBzaW11bGF0b3IgZXhhbXBsZQ=="
CHANNELS = (Channel.EMAIL, Channel.SMS, Channel.PUSH, Channel.WEBHOOK)


@pytest.fixture
async def sim():
    ports = {f"{name}_port": 0 for name in ("email", "sms", "push", "webhook", "smtp")}
    async with Simulator(SimulatorSettings(api_key="key", **ports)) as simulator:
        simulator.world.access.guard_hook("orders", SECRET)
        yield simulator


@pytest.fixture
def credentials(sim, tmp_path):
    """A service account whose tokens come from the simulator."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    file = tmp_path / "key.json"
    fields = {"client_email": "us@x", "private_key": pem, "token_uri": f"{sim.url('push')}/token"}
    file.write_text(json.dumps(fields))
    return str(file)


@pytest.fixture
def town(town, sim, credentials):
    """A town whose providers are Twilio, SendGrid, Firebase and the customers, all of them simulated."""
    before = town.settings
    town.settings = Settings(
        environment=EnvironmentSettings(env="dev"),
        kafka=before.kafka,
        topics=before.topics,
        mongo=before.mongo,
        dispatch=DispatchSettings(channels=CHANNELS),
        provider=ProviderSettings(timeout_ms=2000),
        email=EmailSettings(sender="news@sigmora.example"),
        sendgrid=SendGridSettings(api_key="key", base_url=sim.url("email")),
        twilio=TwilioSettings(
            account_sid="AC1",
            auth_token="key",
            sender="+15550001",
            base_url=sim.url("sms"),
            status_callback_url="https://sigmora.example/receipts",
        ),
        fcm=FcmSettings(project_id="shop-1", credentials_file=credentials, base_url=sim.url("push")),
        webhook=WebhookSettings(
            allow_http=True, allow_private=True, allowed_ports=(urlsplit(sim.url("webhook")).port,)
        ),
    )
    return town


async def reachable(town, sim, name="ann", *, devices=("phone",), hooks=("orders",)):
    """Somebody with all kinds of addresses."""
    await town.people(name)
    change = {
        "phone": "+491701234567",
        "push_tokens": [{"endpoint": each, "token": f"token-{each}"} for each in devices],
        "webhooks": [
            {"endpoint": each, "url": f"{sim.url('webhook')}/hooks/{each}", "secrets": [SECRET], "disabled_reason": ""}
            for each in hooks
        ],
    }
    await asyncio.to_thread(town.database.subscribers.update_one, {"_id": f"acme:{name}"}, {"$set": change})
    return name


async def person(town, name="ann"):
    return await asyncio.to_thread(town.database.subscribers.find_one, {"_id": f"acme:{name}"})


def ids(event, channel, *endpoints, name="ann"):
    return [keys.delivery_id(event.eventid, name, channel, each) for each in endpoints]


async def test_one_event_reaches_every_channel_by_its_own_protocol(town, sim):
    ann = await reachable(town, sim)
    event = town.event()
    async with town.dispatcher():
        for channel in CHANNELS:
            await town.publish(ann, channel=channel, event=event)
        deliveries = [
            *ids(event, Channel.EMAIL, "main"),
            *ids(event, Channel.SMS, "main"),
            *ids(event, Channel.PUSH, "phone"),
            *ids(event, Channel.WEBHOOK, "orders"),
        ]
        await town.until("SENT", *deliveries)

    arrived = {message.protocol: message for message in sim.inbox.messages}
    assert {protocol: message.to for protocol, message in arrived.items()} == {
        "sendgrid": "ann@example.org",
        "twilio": "+491701234567",
        "fcm": "token-phone",
        "webhook": "orders",
    }
    notification = keys.notification_id(event.eventid, "ann")
    for protocol in ("sendgrid", "twilio", "fcm"):
        assert arrived[protocol].metadata["notification_id"] == notification
        assert arrived[protocol].body == "It is on its way"
    assert arrived["webhook"].verification == "ok", "the receiver could check our signature"
    for delivery, provider in zip(deliveries, ("sendgrid", "twilio", "fcm", "webhook"), strict=True):
        found = await town.delivery(delivery)
        assert found["provider"] == provider
        assert found["notification_id"] == notification
        assert provider == "webhook" or found["provider_message_id"]


async def test_each_endpoint_gets_its_own_delivery_and_a_batch_read_again_sends_nothing(town, sim):
    ann = await reachable(town, sim, devices=("phone", "tablet"), hooks=("orders", "crm"))
    event = town.event()
    async with town.dispatcher():
        for _ in range(2):
            for channel in (Channel.PUSH, Channel.WEBHOOK):
                await town.publish(ann, channel=channel, event=event)
        deliveries = [
            *ids(event, Channel.PUSH, "phone", "tablet"),
            *ids(event, Channel.WEBHOOK, "orders", "crm"),
        ]
        await town.until("SENT", *deliveries)
        last = town.event()
        await town.publish(ann, channel=Channel.PUSH, event=last)
        await town.until("SENT", *ids(last, Channel.PUSH, "phone", "tablet"))

    first = [each for each in sim.inbox.attempts if each.delivery_id in deliveries]
    assert sorted(each.to for each in first) == ["crm", "orders", "token-phone", "token-tablet"]


async def test_nobody_to_reach_is_an_end_with_a_reason(town, sim):
    ann = await reachable(town, sim, devices=(), hooks=())
    event = town.event()
    async with town.dispatcher():
        for channel in (Channel.PUSH, Channel.WEBHOOK):
            await town.publish(ann, channel=channel, event=event)
        deliveries = [*ids(event, Channel.PUSH, "main"), *ids(event, Channel.WEBHOOK, "main")]
        await town.until("UNDELIVERABLE", *deliveries)
    assert {(await town.delivery(each))["reason"] for each in deliveries} == {"no_address"}


async def test_a_device_that_is_gone_is_removed_and_nothing_else_is_touched(town, sim):
    ann = await reachable(town, sim, devices=("phone", "tablet"))
    before = await person(town)
    sim.faults.add(Rule(action=RefuseRecipient(code=550), channel="PUSH", to="token-tablet"))
    event = town.event()
    async with town.dispatcher():
        await town.publish(ann, channel=Channel.PUSH, event=event)
        phone, tablet = ids(event, Channel.PUSH, "phone", "tablet")
        await town.until("SENT", phone)
        await town.until("UNDELIVERABLE", tablet)

    assert (await town.delivery(tablet))["reason"] == "unregistered"
    assert await person(town) == before | {"push_tokens": [{"endpoint": "phone", "token": "token-phone"}]}


async def test_a_webhook_that_is_gone_is_disabled_and_not_called_again(town, sim):
    ann = await reachable(town, sim, hooks=("orders", "crm"))
    before = await person(town)
    sim.faults.add(Rule(action=RefuseRecipient(code=550), channel="WEBHOOK", to="crm"))
    first, second = town.event(), town.event()
    async with town.dispatcher():
        await town.publish(ann, channel=Channel.WEBHOOK, event=first)
        orders, crm = ids(first, Channel.WEBHOOK, "orders", "crm")
        await town.until("SENT", orders)
        await town.until("UNDELIVERABLE", crm)
        await town.publish(ann, channel=Channel.WEBHOOK, event=second)
        await town.until("SENT", *ids(second, Channel.WEBHOOK, "orders"))

    assert (await town.delivery(crm))["reason"] == "gone"
    assert await town.states(*ids(second, Channel.WEBHOOK, "crm")) == [""]
    after = await person(town)
    assert [hook["disabled_reason"] for hook in after["webhooks"]] == ["", "gone"]
    assert {name: value for name, value in after.items() if name != "webhooks"} == {
        name: value for name, value in before.items() if name != "webhooks"
    }


async def test_a_webhook_is_tried_again_under_the_same_id(town, sim):
    ann = await reachable(town, sim, hooks=("orders", "crm"))
    sim.faults.add(Rule(action=Status(code=503), channel="WEBHOOK", to="crm", times=2))
    event = town.event()
    async with town.dispatcher():
        await town.publish(ann, channel=Channel.WEBHOOK, event=event)
        orders, crm = ids(event, Channel.WEBHOOK, "orders", "crm")
        await town.until("SENT", orders, crm)

    tried = [each for each in sim.inbox.attempts if each.to == "crm"]
    assert [each.status for each in tried] == [503, 503, 200]
    assert {each.idempotency_key for each in tried} == {crm}
    assert {each.verification for each in sim.inbox.attempts if each.to == "orders"} == {"ok"}
    assert len([each for each in sim.inbox.attempts if each.to == "orders"]) == 1


async def test_a_customers_url_on_this_machine_is_blocked_where_nobody_is_a_developer(town, sim):
    """As in production: the address is refused, and nobody is called."""
    port = urlsplit(sim.url("webhook")).port
    town.settings = town.settings.model_copy(update={"webhook": WebhookSettings(allowed_ports=(port,))})
    ann = await reachable(town, sim)
    url = sim.url("webhook").replace("http:", "https:") + "/hooks/orders"
    change = {"$set": {"webhooks.0.url": url}}
    await asyncio.to_thread(town.database.subscribers.update_one, {"_id": "acme:ann"}, change)
    event = town.event()
    async with town.dispatcher():
        await town.publish(ann, channel=Channel.WEBHOOK, event=event)
        [orders] = ids(event, Channel.WEBHOOK, "orders")
        await town.until("UNDELIVERABLE", orders)
    assert (await town.delivery(orders))["reason"] == "blocked_address"
    assert sim.inbox.attempts == []


async def test_mails_by_smtp_share_connections(town, sim):
    town.settings = town.settings.model_copy(
        update={
            "sendgrid": SendGridSettings(),
            "smtp": SmtpSettings(host="127.0.0.1", port=sim.ports["smtp"], idle_connections=4),
        }
    )
    people = await town.people(*(f"person-{number}" for number in range(60)))
    async with town.dispatcher():
        event = town.event()
        mails = await town.publish(*people, event=event)
        await town.until("SENT", *mails)
        await eventually(lambda: len(sim.inbox.messages) == 60)
    assert {message.protocol for message in sim.inbox.messages} == {"smtp"}
    assert {message.metadata["notification_id"] for message in sim.inbox.messages} == {
        keys.notification_id(event.eventid, person) for person in people
    }
