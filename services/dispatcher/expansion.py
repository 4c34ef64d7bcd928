"""One delivery for each endpoint: a batch names subscribers, and on some channels a subscriber has several endpoints.
Looked up as the batch is worked off, before anything is claimed.

An endpoint that has a delivery of this notification already is among them even if it was taken away since: its delivery
may have been left in SENDING by a crash, and only a record that names it brings it to its end.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace

from libs.common.domain import keys
from libs.common.domain.channels import EVERY_ENDPOINT, MAIN_ENDPOINT
from libs.common.domain.consent import Recipient
from libs.common.domain.deliveries import Work
from services.dispatcher.patience import Patience
from services.dispatcher.ports import DeliveryStore, RecipientStore

Expand = Callable[[Sequence[Work]], Awaitable[list[tuple[Work, ...]]]]
"""What each of some deliveries stands for, in order."""


class Expander:
    """Reads what there is, for whole groups: two reads, and none for a group that names its endpoints itself."""

    def __init__(self, recipients: RecipientStore, deliveries: DeliveryStore, patience: Patience) -> None:
        self._recipients = recipients
        self._deliveries = deliveries
        self._patience = patience

    async def expand(self, works: Sequence[Work]) -> list[tuple[Work, ...]]:
        """What each of `works` stands for, in order."""
        broad = [work for work in works if work.endpoint == EVERY_ENDPOINT]
        if not broad:
            return [(work,) for work in works]
        people = {(work.event.tenant, work.subscriber_id) for work in broad}
        recipients, begun = await asyncio.gather(
            self._patience.insist("expand", lambda: self._recipients.find(people)),
            self._patience.insist("expand", lambda: self._deliveries.endpoints(broad)),
        )
        return [
            for_each(work, _names(work, recipients.get((work.event.tenant, work.subscriber_id)), begun))
            if work.endpoint == EVERY_ENDPOINT
            else (work,)
            for work in works
        ]


def for_each(work: Work, endpoints: Collection[str]) -> tuple[Work, ...]:
    """The deliveries of `work` to `endpoints`, each with the id that it has whenever this record is read. Nobody to
    reach is one delivery to the main endpoint, which ends as undeliverable: every notification comes to an end."""
    return tuple(
        replace(
            work,
            endpoint=endpoint,
            delivery_id=keys.delivery_id(
                work.event.eventid, work.subscriber_id, work.channel, endpoint, work.generation
            ),
        )
        for endpoint in sorted(set(endpoints)) or [MAIN_ENDPOINT]
    )


def _names(work: Work, recipient: Recipient | None, begun: Collection[tuple[str, str, int]]) -> set[str]:
    current = recipient.endpoints(work.channel) if recipient is not None else ()
    earlier = {
        endpoint
        for notification, endpoint, generation in begun
        if (notification, generation) == (work.notification_id, work.generation)
    }
    return {*current, *earlier}
