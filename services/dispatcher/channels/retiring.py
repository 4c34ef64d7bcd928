"""Takes away an endpoint of which its provider says that nothing will ever arrive there again. Only that one address: a
token that the device has replaced meanwhile stays."""

from typing import Protocol

import structlog

from libs.common.domain.channels import Channel
from libs.common.domain.errors import Unavailable
from libs.common.domain.outcome import Outcome, Refused
from services.dispatcher.channels.base import Message, Sender

_log = structlog.get_logger(__name__)


class Endpoints(Protocol):
    """Where endpoints are kept."""

    async def retire(
        self, tenant: str, subscriber_id: str, channel: Channel, endpoint: str, address: str, reason: str
    ) -> bool:
        """Remove a device, or disable a webhook, if it still has this address; whether it had. Raises `Unavailable`."""
        ...


class Retiring:
    """A sender, and what follows from its refusals."""

    def __init__(self, sender: Sender, endpoints: Endpoints) -> None:
        self.provider = sender.provider
        self._sender = sender
        self._endpoints = endpoints

    async def send(self, message: Message) -> Outcome:
        """Send, then retire the endpoint if it is gone. Not insisted on: the next message is told the same."""
        outcome = await self._sender.send(message)
        if isinstance(outcome, Refused) and outcome.endpoint_gone:
            place = (message.event.tenant, message.subscriber_id, message.channel, message.endpoint)
            try:
                retired = await self._endpoints.retire(*place, message.to, outcome.reason)
            except Unavailable as error:
                _log.warning("endpoint.not_retired", delivery_id=message.delivery_id, error=str(error))
            else:
                _log.info(
                    "endpoint.retired",
                    delivery_id=message.delivery_id,
                    channel=message.channel,
                    endpoint=message.endpoint,
                    reason=outcome.reason,
                    retired=retired,
                )
        return outcome
