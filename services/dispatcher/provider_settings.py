"""What the dispatcher is told of its providers. Which one serves a channel follows from what is set: the tables are in
`docs/channels.md`. A provider that is set halfway is refused at the start."""

from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from libs.common.adapters.google_tokens import read_service_account
from libs.common.adapters.vapid import read_private_key
from libs.common.settings import SettingsGroup


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _http_url(value: str) -> str:
    if value and not value.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return value


def _is_here(host: str) -> bool:
    """Whether it is this machine. Names are not looked up, and one that begins like an address can be anybody's."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


Codes = Annotated[tuple[Annotated[int, Field(ge=300, le=599)], ...], NoDecode, BeforeValidator(_split)]
Ports = Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], NoDecode, BeforeValidator(_split)]
Url = Annotated[str, AfterValidator(_http_url)]


class ProviderSettings(SettingsGroup):
    """What all providers have in common."""

    model_config = SettingsConfigDict(env_prefix="PROVIDER_")

    timeout_ms: int = Field(5_000, ge=10, le=60_000, description="Total deadline of one call to a provider, in ms.")
    retryable_status_codes: Codes = Field(
        (408, 425, 429, 500, 502, 503, 504), description="Statuses that mean: not sent, try again later."
    )
    concurrency: int = Field(64, ge=1, le=4096, description="Calls to one provider at once.")

    @property
    def timeout(self) -> timedelta:
        """The total deadline."""
        return timedelta(milliseconds=self.timeout_ms)


class EmailSettings(SettingsGroup):
    """The e-mail provider; when it is not set, SendGrid or SMTP is used."""

    model_config = SettingsConfigDict(env_prefix="EMAIL_", populate_by_name=True)

    provider_base_url: Url = Field("", description="Base URL of an e-mail provider that speaks the HTTP contract.")
    provider_api_key: str = Field("", description="Its bearer key.", repr=False)
    sender: str = Field(
        "",
        validation_alias="EMAIL_FROM",
        description="The address that mails by SendGrid come from; default: `SMTP_FROM`.",
    )


class SendGridSettings(SettingsGroup):
    """SendGrid, used for e-mail when no provider of the HTTP contract is set."""

    model_config = SettingsConfigDict(env_prefix="SENDGRID_")

    api_key: str = Field("", description="SendGrid's API key; empty: no e-mail by SendGrid.", repr=False)
    base_url: Url = Field("https://api.sendgrid.com", description="Where SendGrid is.")


class SmtpSettings(SettingsGroup):
    """The mail server that is used when no e-mail provider is set."""

    model_config = SettingsConfigDict(env_prefix="SMTP_")

    host: str = Field("", description="Mail server; empty: no e-mail by SMTP.")
    port: int = Field(587, ge=1, le=65535, description="Its port.")
    username: str = Field("", description="User name, if it wants one.")
    password: str = Field("", description="Password.", repr=False)
    sender: str = Field(
        "notifications@localhost", validation_alias="SMTP_FROM", description="The address that mails come from."
    )
    starttls: bool = Field(False, description="Whether the connection must be upgraded to TLS, as on port 587.")
    tls: bool = Field(False, description="Whether it is TLS from the first byte on, as on port 465.")

    idle_connections: int = Field(
        16, ge=0, le=1024, description="Connections kept open between mails; 0: one connection for each mail."
    )

    @field_validator("tls")
    @classmethod
    def _is_one_of_both(cls, tls: bool, info: ValidationInfo) -> bool:
        if tls and info.data.get("starttls"):
            raise ValueError("SMTP_TLS and SMTP_STARTTLS are two ways to the same: set one")
        return tls

    @property
    def shows_its_password(self) -> bool:
        """Whether it crosses a network that others can read."""
        return bool(self.host and self.username) and not (self.starttls or self.tls or _is_here(self.host))


class SmsSettings(SettingsGroup):
    """The SMS provider; when it is not set, Twilio is used."""

    model_config = SettingsConfigDict(env_prefix="SMS_")

    provider_base_url: Url = Field("", description="Base URL of an SMS provider that speaks the HTTP contract.")
    provider_api_key: str = Field("", description="Its bearer key.", repr=False)


class TwilioSettings(SettingsGroup):
    """Twilio, used for SMS when no provider of the HTTP contract is set."""

    model_config = SettingsConfigDict(env_prefix="TWILIO_", populate_by_name=True)

    account_sid: str = Field("", description="Twilio's account; empty: no SMS by Twilio.")
    auth_token: str = Field("", description="Its token.", repr=False)
    messaging_service_sid: str = Field("", description="The messaging service that texts come from.")
    sender: str = Field(
        "",
        validation_alias="TWILIO_FROM",
        description="The number that texts come from, when there is no messaging service.",
    )
    base_url: Url = Field("https://api.twilio.com", description="Where Twilio is.")
    status_callback_url: Url = Field(
        "", description="Where Twilio reports what became of a text; our ids are added to its query."
    )

    @field_validator("auth_token")
    @classmethod
    def _has_a_token(cls, token: str, info: ValidationInfo) -> str:
        if info.data.get("account_sid") and not token:
            raise ValueError("is needed with TWILIO_ACCOUNT_SID")
        return token

    @field_validator("sender")
    @classmethod
    def _has_a_sender(cls, sender: str, info: ValidationInfo) -> str:
        if info.data.get("account_sid") and not (sender or info.data.get("messaging_service_sid")):
            raise ValueError("TWILIO_FROM or TWILIO_MESSAGING_SERVICE_SID is needed with TWILIO_ACCOUNT_SID")
        return sender


class PushSettings(SettingsGroup):
    """The push provider; when it is not set, Firebase is used."""

    model_config = SettingsConfigDict(env_prefix="PUSH_")

    provider_base_url: Url = Field("", description="Base URL of a push provider that speaks the HTTP contract.")
    provider_api_key: str = Field("", description="Its bearer key.", repr=False)


class FcmSettings(SettingsGroup):
    """Firebase Cloud Messaging, used for push when no provider of the HTTP contract is set."""

    model_config = SettingsConfigDict(env_prefix="FCM_")

    project_id: str = Field("", pattern=r"^[a-z0-9:.-]*$", description="Firebase project; empty: no push by Firebase.")
    credentials_file: str = Field("", description="A service account's key file (JSON).")
    base_url: Url = Field("https://fcm.googleapis.com", description="Where Firebase Cloud Messaging is.")

    @field_validator("credentials_file")
    @classmethod
    def _is_usable(cls, path: str, info: ValidationInfo) -> str:
        if info.data.get("project_id"):
            read_service_account(path)
        return path


class WebPushSettings(SettingsGroup):
    """Web push (RFC 8030), for devices whose token is a browser's subscription."""

    model_config = SettingsConfigDict(env_prefix="WEBPUSH_")

    private_key: str = Field("", description="Our VAPID key: 32 bytes in base64url; empty: no web push.", repr=False)
    subject: str = Field("", description="Whom a push service can ask about us: `mailto:…` or `https://…`.")

    @field_validator("private_key")
    @classmethod
    def _is_a_key(cls, key: str) -> str:
        if key:
            read_private_key(key)
        return key

    @field_validator("subject")
    @classmethod
    def _is_a_contact(cls, subject: str, info: ValidationInfo) -> str:
        if info.data.get("private_key") and not subject.startswith(("mailto:", "https:")):
            raise ValueError("must begin with mailto: or https: (RFC 8292)")
        return subject


class WebhookSettings(SettingsGroup):
    """Which addresses customers' webhooks and browsers' push services may have."""

    model_config = SettingsConfigDict(env_prefix="WEBHOOK_")

    allowed_ports: Ports = Field((443,), min_length=1, description="Ports that webhooks may have.")
    allow_http: bool = Field(False, description="Whether webhooks need no TLS; with `ENV=dev` alone.")
    allow_private: bool = Field(
        False, description="Whether webhooks may be in private networks, as on a developer's machine; `ENV=dev` alone."
    )
