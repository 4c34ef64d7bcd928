"""The channels, in one table: a channel is one file and one line here."""

from collections.abc import Callable
from dataclasses import dataclass

from libs.common.domain.channels import Channel
from libs.common.domain.retry import UnknownPolicy
from services.dispatcher.channels import email, inapp, push, sms, webhook
from services.dispatcher.channels.base import Sender
from services.dispatcher.channels.tools import Tools
from services.dispatcher.settings import Settings


@dataclass(frozen=True)
class Entry:
    """Which providers a channel has, and what follows when nobody can tell whether a message was sent."""

    providers: Callable[[Settings, Tools], list[Sender]]
    """Those that are set, preferred ones first."""
    policy: UnknownPolicy


CHANNELS: dict[Channel, Entry] = {
    Channel.EMAIL: Entry(email.providers, UnknownPolicy.RETRY),
    Channel.SMS: Entry(sms.providers, UnknownPolicy.PARK),
    Channel.PUSH: Entry(push.providers, UnknownPolicy.RETRY),
    Channel.WEBHOOK: Entry(webhook.providers, UnknownPolicy.RETRY),
    Channel.INAPP: Entry(inapp.providers, UnknownPolicy.RETRY),
}
