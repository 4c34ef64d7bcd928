"""How a channel's way out is put together from settings: its providers in order, what guards them, and its policy."""

from libs.common.domain.channels import Channel
from libs.common.observability.metrics import Metrics
from services.dispatcher.channels import CHANNELS
from services.dispatcher.channels.base import Choice, Sender
from services.dispatcher.channels.contract import ContractSender
from services.dispatcher.channels.tools import Tools
from services.dispatcher.channels.unconfigured import UnconfiguredSender
from services.dispatcher.channels.webpush import is_subscription
from services.dispatcher.flow import Flow
from services.dispatcher.flow_settings import FailoverFlow
from services.dispatcher.guards import Guards
from services.dispatcher.handler import Route
from services.dispatcher.providers import Provider
from services.dispatcher.settings import Settings
from services.dispatcher.unknown import policy_of


def build_route(channel: Channel, settings: Settings, tools: Tools, metrics: Metrics) -> Route:
    """How `channel` is served under these settings."""
    flow, common = settings.flow, settings.provider
    senders = senders_of(channel, settings, tools)
    guards = Guards(channel, flow.breaker, metrics, flow.endpoint_concurrency)
    rate = flow.rate(channel)
    providers = [Provider(sender, guards, common.concurrency, tools.clock, rate) for sender in senders]
    policy = flow.of(channel).unknown_policy or CHANNELS[channel].policy
    return Route(channel, Flow(providers), common.timeout, policy_of(policy, senders))


def senders_of(channel: Channel, settings: Settings, tools: Tools) -> list[Sender]:
    """Every provider that is set, in the order of the channel, and last the one that was set to stand in; one that
    refuses everything when there is none."""
    senders = CHANNELS[channel].providers(settings, tools)
    own = settings.flow.of(channel)
    if isinstance(own, FailoverFlow) and own.failover_base_url:
        common = settings.provider
        spare: Sender = ContractSender(
            tools.outbound,
            own.failover_base_url,
            own.failover_api_key,
            common.timeout,
            common.retryable_status_codes,
            tools.clock,
            provider="http_failover",
        )
        senders = [*senders, _for_devices(spare, senders)]
    return senders or [UnconfiguredSender()]


def _for_devices(spare: Sender, senders: list[Sender]) -> Sender:
    """A stand-in for the providers of devices: browsers have their own, which nobody can stand in for."""
    first = senders[0] if senders else None
    if not isinstance(first, Choice):
        return spare
    return Choice(spare.provider, lambda message: first.choose(message) if is_subscription(message.to) else spare)
