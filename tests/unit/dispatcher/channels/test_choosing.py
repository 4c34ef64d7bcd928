"""Which provider serves a channel: configuration alone decides."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from libs.common.adapters.http import open_outbound
from libs.common.adapters.vapid import encode
from libs.common.domain.channels import Channel
from libs.common.settings import read_settings
from libs.common.testing.endpoints import MemoryEndpoints
from libs.common.testing.feed import MemoryFeed
from services.dispatcher.channels.base import Message
from services.dispatcher.channels.tools import Tools
from services.dispatcher.settings import Settings
from services.dispatcher.wiring import senders_of

PEM = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
EMAIL_HTTP = {"EMAIL_PROVIDER_BASE_URL": "http://mail.example"}
SENDGRID = {"SENDGRID_API_KEY": "k", "EMAIL_FROM": "us@x.example"}
SMTP = {"SMTP_HOST": "mail.example"}
SMS_HTTP = {"SMS_PROVIDER_BASE_URL": "http://sms.example"}
TWILIO = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t", "TWILIO_FROM": "+1"}
PUSH_HTTP = {"PUSH_PROVIDER_BASE_URL": "http://push.example"}
FCM = {"FCM_PROJECT_ID": "shop-1", "FCM_CREDENTIALS_FILE": "key.json"}
WEBPUSH = {"WEBPUSH_PRIVATE_KEY": encode(b"\x01" * 32), "WEBPUSH_SUBJECT": "mailto:us@x.example"}


@pytest.fixture(autouse=True)
def key_file(tmp_path, monkeypatch):
    fields = {"client_email": "us@x", "private_key": PEM, "token_uri": "https://o.example/token"}
    (tmp_path / "key.json").write_text(json.dumps(fields))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def told(monkeypatch):
    """Settings from an environment."""

    def tell(environment):
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        return Settings()

    return tell


@pytest.fixture
async def tools(world):
    async with open_outbound() as outbound:
        yield Tools(outbound, outbound, MemoryFeed(), MemoryEndpoints(), lambda: world.now)


@pytest.mark.parametrize(
    ("channel", "environment", "providers"),
    [
        (Channel.EMAIL, {}, []),
        (Channel.EMAIL, EMAIL_HTTP, ["http"]),
        (Channel.EMAIL, SENDGRID, ["sendgrid"]),
        (Channel.EMAIL, SMTP, ["smtp"]),
        (Channel.EMAIL, SMTP | SENDGRID | EMAIL_HTTP, ["http", "sendgrid", "smtp"]),
        (Channel.SMS, {}, []),
        (Channel.SMS, SMS_HTTP, ["http"]),
        (Channel.SMS, TWILIO, ["twilio"]),
        (Channel.SMS, TWILIO | SMS_HTTP, ["http", "twilio"]),
        (Channel.PUSH, {}, []),
        (Channel.PUSH, PUSH_HTTP, ["http"]),
        (Channel.PUSH, FCM, ["fcm"]),
        (Channel.PUSH, FCM | PUSH_HTTP, ["http", "fcm"]),
        (Channel.PUSH, WEBPUSH, ["none+webpush"]),
        (Channel.PUSH, FCM | WEBPUSH, ["fcm+webpush"]),
        (Channel.WEBHOOK, {}, ["webhook"]),
        (Channel.INAPP, {}, ["feed"]),
    ],
)
async def test_configuration_decides_and_the_first_is_used(told, tools, channel, environment, providers):
    senders = senders_of(channel, told(environment), tools)
    assert [sender.provider for sender in senders] == (providers or ["none"])
    await tools.at_end.aclose()


@pytest.mark.parametrize(
    ("token", "provider"), [("t0ken", "fcm"), ('{"endpoint": "https://x"}', "webpush"), (' {"a": 1}', "webpush")]
)
async def test_a_browsers_subscription_gets_web_push_and_a_phones_token_does_not(told, tools, world, token, provider):
    [sender] = senders_of(Channel.PUSH, told(FCM | WEBPUSH), tools)
    message = Message("d", "n", Channel.PUSH, "ann", token, "Hi", "Hello", world.event())
    assert sender.choose(message).provider == provider


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_FROM": "+1"}, "TWILIO_AUTH_TOKEN: "),
        ({"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t"}, "TWILIO_MESSAGING_SERVICE_SID"),
        ({"FCM_PROJECT_ID": "shop-1"}, "FCM_CREDENTIALS_FILE: "),
        ({"FCM_PROJECT_ID": "shop-1", "FCM_CREDENTIALS_FILE": "none.json"}, "FCM_CREDENTIALS_FILE: "),
        ({"FCM_PROJECT_ID": "shop/../1"}, "FCM_PROJECT_ID: "),
        ({"WEBPUSH_PRIVATE_KEY": "AAAA", "WEBPUSH_SUBJECT": "mailto:us@x.example"}, "WEBPUSH_PRIVATE_KEY: "),
        ({"WEBPUSH_PRIVATE_KEY": encode(bytes(32)), "WEBPUSH_SUBJECT": "mailto:us@x"}, "WEBPUSH_PRIVATE_KEY: "),
        ({"WEBPUSH_PRIVATE_KEY": encode(b"\x01" * 32)}, "WEBPUSH_SUBJECT: "),
        ({"SENDGRID_BASE_URL": "ftp://x"}, "SENDGRID_BASE_URL: "),
        ({"WEBHOOK_ALLOWED_PORTS": "443,x"}, "WEBHOOK_ALLOWED_PORTS: "),
        ({"WEBHOOK_ALLOW_PRIVATE": "true"}, "WEBHOOK: Value error, WEBHOOK_ALLOW_PRIVATE"),
        ({"WEBHOOK_ALLOW_PRIVATE": "true", "ENV": "prod"}, "WEBHOOK_ALLOW_PRIVATE"),
        ({"WEBHOOK_ALLOW_HTTP": "true", "ENV": "test"}, "WEBHOOK_ALLOW_HTTP"),
    ],
)
def test_what_is_set_halfway_or_unsafely_is_refused_at_the_start(monkeypatch, capsys, environment, complaint):
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit):
        read_settings(Settings)
    told = capsys.readouterr().err
    assert complaint in told
    assert PEM not in told


def test_a_developer_may_call_private_addresses(told):
    settings = told({"WEBHOOK_ALLOW_PRIVATE": "true", "WEBHOOK_ALLOW_HTTP": "true", "ENV": "dev"})
    assert settings.webhook.allow_private
    assert settings.webhook.allowed_ports == (443,)


def test_no_secret_is_shown(told):
    shown = repr(
        told(SENDGRID | TWILIO | WEBPUSH | {"TWILIO_AUTH_TOKEN": "hush-hush", "SENDGRID_API_KEY": "hush-hush"})
    )
    assert "hush-hush" not in shown
    assert encode(b"\x01" * 32) not in shown
