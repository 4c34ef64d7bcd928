"""Tells the log of changes of state that the API made. The state is written first: only the write shows whether it was
allowed. Who asks again for what is so already makes the log be told again, which heals a crash in between; readers know
repetitions by their id."""

from collections.abc import Sequence

import msgspec

from libs.common.domain.messages import StateChange, StatusChanged
from libs.common.domain.notifications import KeptDelivery
from libs.common.ports import Log, Record

SOURCE = "/sigmora/api"


class StatusLog:
    """The topic `status`, to be written."""

    def __init__(self, log: Log, topic: str) -> None:
        self._log = log
        self._topic = topic

    async def tell(self, deliveries: Sequence[KeptDelivery]) -> None:
        """Tell of the states that these are in. Raises `Unavailable`."""
        if deliveries:
            await self._log.append(
                [Record(self._topic, msgspec.json.encode(change_of(each)), each.id.encode()) for each in deliveries]
            )


def change_of(delivery: KeptDelivery) -> StatusChanged:
    """The state that a delivery entered, for whoever watches."""
    return StatusChanged(
        id=f"{delivery.id}:{delivery.state}:{delivery.attempt}",
        source=SOURCE,
        type=f"sigmora.delivery.{delivery.state.lower()}.v1",
        time=delivery.updated_at,
        subject=delivery.id,
        tenant=delivery.tenant,
        data=StateChange(
            delivery_id=delivery.id,
            notification_id=delivery.notification_id,
            event_id=delivery.event_id,
            subscriber_id=delivery.subscriber_id,
            channel=delivery.channel,
            state=delivery.state,
            attempt=delivery.attempt,
            reason=delivery.reason,
            provider=delivery.provider,
            provider_message_id=delivery.provider_message_id,
        ),
    )
