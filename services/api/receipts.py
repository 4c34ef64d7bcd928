"""Takes in what providers say of messages: moves deliveries on, never back, and stops sending to an address that
bounced or complained. Receipts come in any order and any number of times."""

from datetime import datetime

import structlog

from libs.common.clock import Clock
from libs.common.domain.channels import Channel
from libs.common.domain.notifications import KeptDelivery
from libs.common.domain.receipts import Receipt, ReceiptStatus, concerned, next_state
from libs.common.domain.states import FROM
from libs.common.domain.subscribers import Subscriber
from libs.common.domain.suppressions import SUPPRESSIBLE
from services.api.ports import EndpointStore, NotificationStore, SubscriberStore, SuppressionStore
from services.api.status import StatusLog

_log = structlog.get_logger(__name__)


class Receipts:
    """Receipts of all providers."""

    def __init__(
        self,
        store: NotificationStore,
        subscribers: SubscriberStore,
        suppressions: SuppressionStore,
        endpoints: EndpointStore,
        status: StatusLog,
        clock: Clock,
    ) -> None:
        self._store = store
        self._subscribers = subscribers
        self._suppressions = suppressions
        self._endpoints = endpoints
        self._status = status
        self._clock = clock

    async def take(self, notification_id: str, receipt: Receipt) -> bool:
        """Whether any delivery moved. Raises `Unavailable`: then the same receipt again is right."""
        spoken_of = concerned(receipt, await self._store.deliveries(notification_id))
        now = self._clock()
        moved: list[KeptDelivery] = []
        for delivery in spoken_of:
            if receipt.suppresses:
                await self._stop_sending(delivery, receipt, now)
            if next_state(delivery.state, receipt) is delivery.state:
                continue
            sources = FROM[receipt.state]
            if changed := await self._store.move(
                delivery.id, receipt.state, sources, now, receipt.reason, receipt.detail
            ):
                moved.append(changed)
        # What is so already is told again: the first time the log may not have answered.
        await self._status.tell([*moved, *(each for each in spoken_of if each.state is receipt.state)])
        _log.info(
            "receipt",
            notification_id=notification_id,
            channel=receipt.channel,
            status=receipt.status,
            deliveries=[each.id for each in spoken_of],
            applied=len(moved),
        )
        return bool(moved)

    async def _stop_sending(self, delivery: KeptDelivery, receipt: Receipt, now: datetime) -> None:
        """A bounce speaks of the address that the message went to. Deliveries know no addresses: when the subscriber
        was changed since, today's may be another one, and is left alone; the next bounce will tell. A complaint is the
        person's, whatever their address is now."""
        subscriber = await self._subscribers.find(delivery.tenant, delivery.subscriber_id)
        if subscriber is None or (
            receipt.status is ReceiptStatus.BOUNCED and subscriber.updated_at > _sent_at(delivery)
        ):
            return
        tenant, channel = delivery.tenant, delivery.channel
        if channel in SUPPRESSIBLE and (address := _address(subscriber, channel)):
            await self._suppressions.add(tenant, channel, address, receipt.reason, now, delivery.id)
        for device in subscriber.push_tokens if channel is Channel.PUSH else ():
            if device.endpoint == delivery.endpoint:
                await self._endpoints.retire(
                    tenant, subscriber.subscriber_id, channel, device.endpoint, device.token, receipt.reason
                )


def _sent_at(delivery: KeptDelivery) -> datetime:
    return delivery.attempts[-1].at if delivery.attempts else delivery.created_at


def _address(subscriber: Subscriber, channel: Channel) -> str:
    return {Channel.EMAIL: subscriber.email, Channel.SMS: subscriber.phone}.get(channel, "")
