"""Looks notifications up, marks them read, and withdraws what was not sent. What has no delivery yet is known from the
claim that accepted it, or from the hold in which it waits, and from what the router decided."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import msgspec

from libs.common.clock import Clock
from libs.common.domain import keys
from libs.common.domain.channels import MAIN_ENDPOINT, SEVERAL_ENDPOINTS, Channel
from libs.common.domain.claims import RequestClaim
from libs.common.domain.notifications import (
    CANCELLABLE,
    Decided,
    Held,
    KeptDelivery,
    Standing,
    latest,
    overall,
    standing,
)
from libs.common.domain.states import FROM, State
from libs.common.domain.subscribers import Subscriber
from services.api.claiming import Claims
from services.api.errors import NotFound, NotIn
from services.api.ports import NotificationStore, SubscriberStore
from services.api.schemas.notifications import ShownChannel, ShownEndpoint, ShownNotification
from services.api.status import StatusLog

_SHOWN_AS_SENT = frozenset({State.SENT, State.DELIVERED})
_UNKNOWN = Decided(outcome="SUPPRESS", reason="unknown_recipient")


class FoundNotification(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of a notification; `subscriber` None: erased since."""

    id: str
    tenant: str
    event_id: str
    subscriber_id: str
    claim: RequestClaim | None
    deliveries: tuple[KeptDelivery, ...]
    waiting: dict[Channel, Standing]
    """The channels without a delivery."""
    held_since: datetime | None = None
    subscriber: Subscriber | None = None

    @property
    def status(self) -> State:
        """The state that stands for all."""
        return overall([each.state for each in self.deliveries] + [each.state for each in self.waiting.values()])


class Notifications:
    """Notifications of one event and one subscriber."""

    def __init__(
        self, store: NotificationStore, claims: Claims, subscribers: SubscriberStore, status: StatusLog, clock: Clock
    ) -> None:
        self._store = store
        self._claims = claims
        self._subscribers = subscribers
        self._status = status
        self._clock = clock

    async def find(self, tenant: str, notification_id: str, owner: str | None = None) -> FoundNotification:
        """The notification. With `owner`, only if it is theirs. Raises `NotFound`, `Unavailable`."""
        everything, claim, held = await asyncio.gather(
            self._store.deliveries(notification_id, tenant),
            self._claims.find_notification(tenant, notification_id),
            self._store.held(tenant, notification_id),
        )
        deliveries = latest(everything)
        known_by: list[RequestClaim | KeptDelivery | Held] = [*([claim] if claim else []), *deliveries, *held]
        if not known_by:
            raise NotFound
        event_id, subscriber_id = known_by[0].event_id, known_by[0].subscriber_id
        if owner not in (None, subscriber_id):
            raise NotFound
        known = {each.channel for each in deliveries}
        waiting: dict[Channel, Standing] = {}
        subscriber = None
        if claim is None or set(claim.channels) - known:
            subscriber = await self._subscribers.find(tenant, subscriber_id)
            decided = await self._decided(tenant, event_id, subscriber)
            holds = {each.channel: each for each in held}
            wanted = claim.channels if claim else {*holds, *(each.channel for each in decided if each.channel)}
            now = self._clock()
            waiting = {
                channel: standing(channel, decided, now, holds.get(channel))
                for channel in wanted
                if channel not in known
            }
        return FoundNotification(
            id=notification_id,
            tenant=tenant,
            event_id=event_id,
            subscriber_id=subscriber_id,
            claim=claim,
            deliveries=tuple(deliveries),
            waiting=waiting,
            held_since=min((each.created_at for each in held), default=None),
            subscriber=subscriber,
        )

    async def delivery(self, tenant: str, delivery_id: str) -> KeptDelivery | None:
        """One delivery of a tenant. Raises `Unavailable`."""
        return await self._store.delivery(tenant, delivery_id)

    async def read(self, tenant: str, notification_id: str, owner: str | None = None) -> FoundNotification:
        """The person read it. Their feed's entry says when; its delivery there becomes READ, or, where nothing went to
        the feed, those that reached somebody. Doing it again changes nothing.

        Raises `NotFound`, `Unavailable`, and `NotIn` when nothing of it has reached anybody.
        """
        found = await self.find(tenant, notification_id, owner)
        now = self._clock()
        in_feed = await self._store.mark_read(tenant, notification_id, now)
        inapp = [each for each in found.deliveries if each.channel is Channel.INAPP]
        # An entry can be read before the dispatcher has written down that it put it there.
        sources = FROM[State.READ] if in_feed else _SHOWN_AS_SENT
        read = await self._move(inapp or found.deliveries, State.READ, sources, now)
        if not read and not in_feed:
            raise NotIn("Nothing of it has reached anybody yet.", extra=_states(found))
        return await self.find(tenant, notification_id, owner)

    async def cancel(self, tenant: str, notification_id: str, owner: str | None = None) -> FoundNotification:
        """Withdraw what was not sent: what is held, what waits for an attempt, and what nobody has claimed yet. An
        acknowledged cancellation starts no attempt. Doing it again changes nothing. Of a hold for many, the others stay
        in it; who was cancelled is found claimed when it is released.

        Raises `NotFound`, `Unavailable`, and `NotIn` when there is nothing left to withdraw.
        """
        found = await self.find(tenant, notification_id, owner)
        now = self._clock()
        inserted: list[KeptDelivery] = []
        there = list(found.deliveries)
        for each in _unclaimed(await self._with_subscriber(found), now):
            if await self._store.insert(each):
                inserted.append(each)
            else:  # the dispatcher was faster: it may have it in hand, or be waiting to try again
                there.append(msgspec.structs.replace(each, state=State.QUEUED))
        moved = await self._move(there, State.CANCELLED, CANCELLABLE, now)
        if found.claim is not None and found.waiting:
            await self._store.forget_holds(tenant, found.event_id, found.waiting.keys())
        await self._status.tell(inserted)
        after = await self.find(tenant, notification_id, owner)
        if not inserted and not moved:
            raise NotIn("There is nothing left to withdraw.", extra=_states(after))
        return after

    async def _with_subscriber(self, found: FoundNotification) -> FoundNotification:
        """Where several endpoints are possible, some may have no delivery yet: they are put off before they are claimed
        when a provider has no room."""
        if found.subscriber is not None or SEVERAL_ENDPOINTS.isdisjoint(each.channel for each in found.deliveries):
            return found
        subscriber = await self._subscribers.find(found.tenant, found.subscriber_id)
        return msgspec.structs.replace(found, subscriber=subscriber)

    async def _move(
        self, deliveries: Sequence[KeptDelivery], state: State, sources: frozenset[State], now: datetime
    ) -> list[KeptDelivery]:
        """Those that are in `state` now, which the log is told of."""
        moved: list[KeptDelivery] = []
        for each in deliveries:
            if each.state is state:
                moved.append(each)
            elif changed := await self._store.move(each.id, state, sources, now, "", ""):
                moved.append(changed)
        await self._status.tell(moved)
        return moved

    async def _decided(self, tenant: str, event_id: str, subscriber: Subscriber | None) -> list[Decided]:
        """What the router concluded; of somebody whom the tenant does not have, that it did not find them."""
        if subscriber is None:
            return [_UNKNOWN]
        return await self._store.decided(tenant, event_id, subscriber.ordinal) or []


def _unclaimed(found: FoundNotification, now: datetime) -> list[KeptDelivery]:
    """The deliveries that the dispatcher would claim, cancelled."""
    begun = {(each.channel, each.endpoint) for each in found.deliveries}
    waiting = {channel for channel, where in found.waiting.items() if where.state in CANCELLABLE}
    several = {channel for channel, _ in begun if channel in SEVERAL_ENDPOINTS and found.subscriber is not None}
    return [
        _cancelled(found, channel, name, now)
        for channel in sorted(waiting | several)
        for name in _endpoints(channel, found.subscriber)
        if (channel, name) not in begun
    ]


def _endpoints(channel: Channel, subscriber: Subscriber | None) -> list[str]:
    """The endpoints that the dispatcher would deliver to; with none it delivers to the main one, which fails."""
    if channel not in SEVERAL_ENDPOINTS or subscriber is None:
        return [MAIN_ENDPOINT]
    places = subscriber.push_tokens if channel is Channel.PUSH else subscriber.webhooks
    return sorted({place.endpoint for place in places}) or [MAIN_ENDPOINT]


def _cancelled(found: FoundNotification, channel: Channel, endpoint: str, now: datetime) -> KeptDelivery:
    return KeptDelivery(
        id=keys.delivery_id(found.event_id, found.subscriber_id, channel, endpoint),
        tenant=found.tenant,
        event_id=found.event_id,
        notification_id=found.id,
        subscriber_id=found.subscriber_id,
        channel=channel,
        endpoint=endpoint,
        state=State.CANCELLED,
        created_at=now,
        updated_at=now,
    )


def _states(found: FoundNotification) -> dict[str, object]:
    return {"state": found.status, "channels": {name: each.status for name, each in shown(found).channels.items()}}


def shown(found: FoundNotification) -> ShownNotification:
    """A notification as it is shown."""
    channels = {channel: _waiting(where) for channel, where in found.waiting.items()}
    for channel in dict.fromkeys(each.channel for each in found.deliveries):
        channels[channel] = _channel([each for each in found.deliveries if each.channel is channel])
    first = min((each.created_at for each in found.deliveries), default=found.held_since)
    created = found.claim.created_at if found.claim else first
    if created is None:
        raise NotFound
    return ShownNotification(
        id=found.id,
        event_id=found.event_id,
        user_id=found.subscriber_id,
        status=found.status,
        channels={channel.value: channels[channel] for channel in sorted(channels)},
        created_at=created,
    )


def _waiting(where: Standing) -> ShownChannel:
    return ShownChannel(status=where.state, reason=where.reason, due_at=where.due_at)


def _channel(deliveries: Sequence[KeptDelivery]) -> ShownChannel:
    """One channel's deliveries; the one that came furthest stands for all."""
    status = overall([each.state for each in deliveries])
    furthest = next(each for each in deliveries if each.state is status)
    return ShownChannel(
        status=status,
        reason=furthest.reason,
        detail=furthest.detail,
        attempts=list(furthest.attempts),
        provider_message_id=furthest.provider_message_id,
        due_at=furthest.due_at,
        updated_at=furthest.updated_at,
        deliveries=[
            ShownEndpoint(delivery_id=each.id, endpoint=each.endpoint, status=each.state, reason=each.reason)
            for each in deliveries
        ],
    )
