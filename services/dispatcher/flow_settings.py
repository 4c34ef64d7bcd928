"""What the dispatcher is told of how fast its providers may be called, when one is not worth calling, who stands in for
it, and what follows when nobody can tell whether a message went out. `docs/delivery.md` explains it to operators."""

from datetime import timedelta

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.common.domain.breaker import BreakerRules
from libs.common.domain.channels import Channel
from libs.common.domain.retry import UnknownPolicy
from libs.common.settings import Duration, SettingsGroup
from services.dispatcher.provider_settings import Url


class ChannelFlow(SettingsGroup):
    """How one channel differs from the others."""

    provider_rate_per_second: float | None = Field(
        None, ge=0, description="Calls a second to each provider of this channel; default: `PROVIDER_RATE_PER_SECOND`."
    )
    unknown_policy: UnknownPolicy | None = Field(
        None,
        description="What follows an unknown outcome: `retry`, `query` or `park`; default: SMS parks, the rest retry.",
    )


class FailoverFlow(ChannelFlow):
    """A channel whose provider can have a second one of the same kind."""

    failover_base_url: Url = Field(
        "", description="Base URL of a provider of the HTTP contract that stands in when those before it cannot send."
    )
    failover_api_key: str = Field("", description="Its bearer key.", repr=False)


class EmailFlow(FailoverFlow):
    """E-mail."""

    model_config = SettingsConfigDict(env_prefix="EMAIL_")


class SmsFlow(FailoverFlow):
    """SMS."""

    model_config = SettingsConfigDict(env_prefix="SMS_")


class PushFlow(FailoverFlow):
    """Push."""

    model_config = SettingsConfigDict(env_prefix="PUSH_")


class WebhookFlow(ChannelFlow):
    """Webhooks."""

    model_config = SettingsConfigDict(env_prefix="WEBHOOK_")


class FlowSettings(SettingsGroup):
    """What all channels have in common, and where they differ."""

    model_config = SettingsConfigDict(env_prefix="PROVIDER_")

    rate_per_second: float = Field(0.0, ge=0, description="Calls a second to one provider; 0: no limit.")
    endpoint_concurrency: int = Field(8, ge=1, le=4096, description="Calls to one webhook host at once.")
    breaker_minimum_calls: int = Field(
        20, ge=0, description="Calls within the window before a provider is judged at all; 0: no circuit breaker."
    )
    breaker_threshold: float = Field(
        0.8, gt=0, le=1, description="Share of failed calls from which on a provider is left alone."
    )
    breaker_window: Duration = Field(timedelta(seconds=10), description="How far back calls are counted.")
    breaker_cool_down: Duration = Field(
        timedelta(seconds=5), description="How long a failing provider is left alone before it is tried again."
    )
    breaker_probes: int = Field(3, ge=1, description="Calls that try it again; the same share of them decides.")

    email: EmailFlow = Field(default_factory=EmailFlow)
    sms: SmsFlow = Field(default_factory=SmsFlow)
    push: PushFlow = Field(default_factory=PushFlow)
    webhook: WebhookFlow = Field(default_factory=WebhookFlow)

    def of(self, channel: Channel) -> ChannelFlow:
        """What holds for `channel`; the feed is our own and has nothing to set."""
        named: dict[Channel, ChannelFlow] = {
            Channel.EMAIL: self.email,
            Channel.SMS: self.sms,
            Channel.PUSH: self.push,
            Channel.WEBHOOK: self.webhook,
        }
        return named.get(channel) or ChannelFlow.model_construct()

    def rate(self, channel: Channel) -> float:
        """Calls a second to one provider of `channel`; 0: no limit. The feed is our own: no provider to spare."""
        if channel is Channel.INAPP:
            return 0.0
        own = self.of(channel).provider_rate_per_second
        return self.rate_per_second if own is None else own

    @property
    def breaker(self) -> BreakerRules:
        """When a provider is left alone."""
        return BreakerRules(
            self.breaker_threshold,
            self.breaker_minimum_calls,
            self.breaker_window.total_seconds(),
            self.breaker_cool_down.total_seconds(),
            self.breaker_probes,
        )
