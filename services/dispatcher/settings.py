"""What the dispatcher is told by its environment."""

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from libs.common.domain.channels import Channel
from libs.common.settings import (
    CacheSettings,
    Duration,
    EnvironmentSettings,
    KafkaSettings,
    LinkSettings,
    MongoSettings,
    SettingsGroup,
    TopicSettings,
)
from services.dispatcher.flow_settings import FlowSettings
from services.dispatcher.provider_settings import (
    EmailSettings,
    FcmSettings,
    ProviderSettings,
    PushSettings,
    SendGridSettings,
    SmsSettings,
    SmtpSettings,
    TwilioSettings,
    WebhookSettings,
    WebPushSettings,
)

__all__ = [
    "DispatchSettings",
    "DispatcherSettings",
    "EmailSettings",
    "FcmSettings",
    "FlowSettings",
    "ProviderSettings",
    "PushSettings",
    "SendGridSettings",
    "Settings",
    "SmsSettings",
    "SmtpSettings",
    "TwilioSettings",
    "WebPushSettings",
    "WebhookSettings",
]


def _upper(value: object) -> object:
    return tuple(part.strip().upper() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


_LEAST_ROOM = timedelta(seconds=3)
"""Of a lease, beside the provider's deadline: 2 s are kept free at its end, and a message waits for its turn."""
Channels = Annotated[tuple[Channel, ...], NoDecode, BeforeValidator(_upper)]


class DispatchSettings(SettingsGroup):
    """How the dispatcher works."""

    model_config = SettingsConfigDict(env_prefix="DISPATCH_")

    channels: Channels = Field(tuple(Channel), description="Channels that this process serves; default: all.")
    lease: Duration | None = Field(
        None,
        description="How long a claim holds; default: a consumer's session (10 s), the provider's deadline and 10 s.",
    )


class DispatcherSettings(SettingsGroup):
    """Where the process is found."""

    model_config = SettingsConfigDict(env_prefix="DISPATCHER_")

    host: str = Field("127.0.0.1", description="Address of the dispatcher's probes and metrics.")
    port: int = Field(8002, ge=1, le=65535, description="Port of the dispatcher's probes and metrics.")


class Settings(SettingsGroup):
    """All of the dispatcher's settings."""

    environment: EnvironmentSettings = Field(default_factory=EnvironmentSettings)
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    topics: TopicSettings = Field(default_factory=TopicSettings)
    mongo: MongoSettings = Field(default_factory=MongoSettings)
    cache: CacheSettings = Field(default_factory=CacheSettings)
    links: LinkSettings = Field(default_factory=LinkSettings)
    dispatcher: DispatcherSettings = Field(default_factory=DispatcherSettings)
    dispatch: DispatchSettings = Field(default_factory=DispatchSettings)
    provider: ProviderSettings = Field(default_factory=ProviderSettings)
    email: EmailSettings = Field(default_factory=EmailSettings)
    sendgrid: SendGridSettings = Field(default_factory=SendGridSettings)
    smtp: SmtpSettings = Field(default_factory=SmtpSettings)
    sms: SmsSettings = Field(default_factory=SmsSettings)
    twilio: TwilioSettings = Field(default_factory=TwilioSettings)
    push: PushSettings = Field(default_factory=PushSettings)
    fcm: FcmSettings = Field(default_factory=FcmSettings)
    webpush: WebPushSettings = Field(default_factory=WebPushSettings)
    webhook: WebhookSettings = Field(default_factory=WebhookSettings)
    flow: FlowSettings = Field(default_factory=FlowSettings)

    @field_validator("webhook")
    @classmethod
    def _is_closed_but_for_developers(cls, webhook: WebhookSettings, info: ValidationInfo) -> WebhookSettings:
        environment = info.data.get("environment")
        if (webhook.allow_private or webhook.allow_http) and not (environment and environment.is_dev):
            raise ValueError("WEBHOOK_ALLOW_PRIVATE and WEBHOOK_ALLOW_HTTP need ENV=dev")
        return webhook

    @field_validator("smtp")
    @classmethod
    def _keeps_its_password(cls, smtp: SmtpSettings, info: ValidationInfo) -> SmtpSettings:
        environment = info.data.get("environment")
        if smtp.shows_its_password and environment and environment.env == "prod":
            raise ValueError("SMTP_USERNAME needs SMTP_STARTTLS or SMTP_TLS: the password would be sent in the clear")
        return smtp

    @field_validator("provider")
    @classmethod
    def _fits_into_a_lease(cls, provider: ProviderSettings, info: ValidationInfo) -> ProviderSettings:
        dispatch = info.data.get("dispatch")
        if dispatch and dispatch.lease and dispatch.lease < provider.timeout + _LEAST_ROOM:
            raise ValueError(
                "DISPATCH_LEASE must be at least 3 s longer than PROVIDER_TIMEOUT_MS: nothing would be sent"
            )
        return provider

    @field_validator("links")
    @classmethod
    def _is_encrypted_but_for_developers(cls, links: LinkSettings, info: ValidationInfo) -> LinkSettings:
        environment = info.data.get("environment")
        if links.public_base_url.startswith("http://") and environment and environment.env == "prod":
            raise ValueError("PUBLIC_BASE_URL must begin with https:// (RFC 8058), unless ENV=dev")
        return links

    @property
    def lease(self) -> timedelta:
        """How long a claim holds: longer than a dead member's session and its slowest call together, so that a delivery
        that is still being sent is never taken over."""
        return self.dispatch.lease or timedelta(seconds=20) + self.provider.timeout
