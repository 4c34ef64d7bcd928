"""A channel for which no provider is configured. Its deliveries are refused, with the reason, rather than left in their
topic: every delivery reaches one terminal state."""

from libs.common.domain.outcome import Outcome, Refused
from services.dispatcher.channels.base import Message


class UnconfiguredSender:
    """Refuses everything."""

    provider = "none"

    async def send(self, _message: Message) -> Outcome:
        """Refused."""
        return Refused("channel_not_configured")
