"""The whole life of a delivery, QUEUED, SENT, DELIVERED, READ, on every channel and by every kind of provider."""

import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from standardwebhooks import Webhook

from deploy.local.platform import Platform, open_platform
from deploy.local.servers import StackAddress
from libs.common.domain.messages import StatusChanged
from libs.common.settings import TopicSettings
from libs.common.testing.driver import Driver, eventually
from libs.common.testing.log_reader import LogReader

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

SECRET = "whsec_c2lnbW9yYSBlbmQgdG8gZW5kIHNlY3JldCBrZXk="
CHANNELS = ("EMAIL", "SMS", "PUSH", "WEBHOOK", "INAPP")


def service_account(folder: Path, token_uri: str) -> str:
    """A key file as Firebase gives them out."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    file = folder / "service-account.json"
    file.write_text(json.dumps({"client_email": "us@example.com", "private_key": pem, "token_uri": token_uri}))
    return str(file)


def by_vendors(folder: Path) -> Callable[[Mapping[str, int]], dict[str, str]]:
    """SendGrid, Twilio and Firebase."""

    def settings(ports: Mapping[str, int]) -> dict[str, str]:
        mail, texts, push = (f"http://127.0.0.1:{ports[f'SIMULATOR_{name}_PORT']}" for name in ("EMAIL", "SMS", "PUSH"))
        return {
            **dict.fromkeys((f"{name}_PROVIDER_BASE_URL" for name in ("EMAIL", "SMS", "PUSH")), ""),
            "EMAIL_FROM": "news@example.com",
            "SENDGRID_API_KEY": "key",
            "SENDGRID_BASE_URL": mail,
            "TWILIO_ACCOUNT_SID": "AC1",
            "TWILIO_AUTH_TOKEN": "key",
            "TWILIO_FROM": "+15550001",
            "TWILIO_BASE_URL": texts,
            "FCM_PROJECT_ID": "shop-1",
            "FCM_BASE_URL": push,
            "FCM_CREDENTIALS_FILE": service_account(folder, f"{push}/token"),
        }

    return settings


def by_smtp(_folder: Path) -> Callable[[Mapping[str, int]], dict[str, str]]:
    """E-mail by SMTP, the rest by the HTTP contract."""

    def settings(ports: Mapping[str, int]) -> dict[str, str]:
        port = str(ports["SIMULATOR_SMTP_PORT"])
        return {
            "EMAIL_PROVIDER_BASE_URL": "",
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": port,
            "SMTP_FROM": "news@example.com",
        }

    return settings


PROTOCOLS = {
    "contract": {"EMAIL": "http", "SMS": "http", "PUSH": "http", "WEBHOOK": "webhook"},
    "vendors": {"EMAIL": "sendgrid", "SMS": "twilio", "PUSH": "fcm", "WEBHOOK": "webhook"},
    "smtp": {"EMAIL": "smtp", "SMS": "http", "PUSH": "http", "WEBHOOK": "webhook"},
}


@pytest.fixture(scope="module", params=["contract", "vendors", "smtp"])
def place(
    request: pytest.FixtureRequest, stack: StackAddress, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Platform]]:
    """A platform, and how its providers speak."""
    if request.param == "contract":
        yield request.param, request.getfixturevalue("platform")
        return
    folder = tmp_path_factory.mktemp(request.param)
    settings = {"vendors": by_vendors, "smtp": by_smtp}[request.param](folder)
    with open_platform(folder, stack, settings) as own:
        yield request.param, own


@pytest.fixture
async def driver(place: tuple[str, Platform], log: LogReader) -> AsyncIterator[Driver]:
    """A user of that platform."""
    platform = place[1]
    topics = TopicSettings.model_validate({"topic_prefix": platform.environ["TOPIC_PREFIX"]}).topics
    urls = (platform.url("api"), platform.url("simulator"), platform.url("router"))
    driver = Driver(*urls, platform.api_key, log, topics)
    yield driver
    await driver.close()


async def test_a_delivery_is_queued_sent_delivered_and_read_on_every_channel(
    place: tuple[str, Platform], driver: Driver, log: LogReader
) -> None:
    way, platform = place
    key, name = {"X-API-Key": driver.api_key}, f"u-{secrets.token_hex(5)}"
    hook = f"http://127.0.0.1:{platform.ports['SIMULATOR_WEBHOOK_PORT']}/hooks/{name}"
    addresses = {"EMAIL": f"{name}@example.com", "SMS": f"+1500555{secrets.randbelow(10_000):04}", "PUSH": f"t-{name}"}
    addresses["WEBHOOK"] = name
    user = {
        "id": name,
        "name": "Ada",
        "email": addresses["EMAIL"],
        "phone": addresses["SMS"],
        "push_token": addresses["PUSH"],
        "webhooks": [{"endpoint": "crm", "url": hook, "secret": SECRET}],
    }
    words = {channel: {"subject": "Hello", "body": "Hello {{ name }}"} for channel in ("EMAIL", "PUSH")}
    words |= {channel: {"body": "Hello {{ name }}"} for channel in ("SMS", "WEBHOOK", "INAPP")}
    assert (await driver.api.post("/users", json=user, headers=key)).status_code == 201
    made = await driver.api.post("/templates", json={"id": name, "name": "Hello", "channels": words}, headers=key)
    assert made.status_code == 201, made.text
    await driver.api.post(f"/templates/{name}/publish", headers=key)

    for channel in CHANNELS:
        body = {"user_id": name, "template_id": name, "channels": [channel], "variables": {"name": "Ada"}}
        accepted = await driver.api.post("/notifications", json=body, headers=key)
        assert accepted.status_code == 202, accepted.text
        assert accepted.json()["channels"][channel]["status"] == "QUEUED"
        notification = accepted.json()["id"]

        async def status(of: str = notification, on: str = channel) -> str:
            found = (await driver.api.get(f"/notifications/{of}", headers=key)).json()
            return str(found["channels"][on]["status"])

        await eventually(status, lambda state: state == "SENT")
        receipt = await driver.api.post(
            f"/notifications/{notification}/receipt",
            json={"channel": channel, "status": "DELIVERED"},
            headers={"X-Provider-Token": platform.environ["PROVIDER_CALLBACK_TOKEN"]},
        )
        assert receipt.json() == {"applied": True}, receipt.text
        assert await status() == "DELIVERED"
        read = await driver.api.post(f"/notifications/{notification}/read", headers=key)
        assert read.status_code == 200, read.text
        assert await status() == "READ"
        assert await told(log, driver, accepted.json()["event_id"]) == ["SENT", "DELIVERED", "READ"]
        if channel in addresses:
            [message] = await driver.arrived(addresses[channel])
            assert message["protocol"] == PROTOCOLS[way][channel]
            assert "Hello Ada" in message["body"]
            if channel == "WEBHOOK":
                assert Webhook(SECRET).verify(message["body"], message["headers"])


async def told(log: LogReader, driver: Driver, event_id: str) -> list[str]:
    """The states of an event's only delivery, as `status` has them."""
    changes = [
        msgspec.json.decode(r.value or b"", type=StatusChanged).data for r in await log.read(driver.topics.status)
    ]
    return [change.state for change in changes if change.event_id == event_id]
