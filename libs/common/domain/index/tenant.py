"""The subscribers of one tenant: which version of each is known, and which slots it stands in."""

from collections.abc import Collection

from libs.common.domain.index.model import IndexedSubscriber, Subscription
from libs.common.domain.index.slots import SlotKey, Slots


class TenantIndex:
    """All that is known of one tenant."""

    def __init__(self) -> None:
        self.subscribers: dict[str, IndexedSubscriber] = {}
        self.ids: dict[int, str] = {}
        self.slots = Slots()
        self.subscriptions = 0
        """Of active subscribers."""
        self._removed: dict[str, int] = {}
        """The newest version that was removed, by subscriber."""

    def put(self, subscriber: IndexedSubscriber) -> bool:
        """Take this version, unless it is not newer than what is known. Raises ValueError for a taken ordinal."""
        held = self.subscribers.get(subscriber.id)
        known = held.version if held is not None else self._removed.get(subscriber.id)
        if known is not None and subscriber.version <= known:
            return False
        if self.ids.get(subscriber.ordinal, subscriber.id) != subscriber.id:
            raise ValueError(f"ordinal {subscriber.ordinal} belongs to another subscriber")
        if held is not None:
            same_ordinal = held.ordinal == subscriber.ordinal
            self._drop(held, kept=self._slots_of(subscriber) if same_ordinal else ())
        self._remember(subscriber)
        return True

    def remove(self, subscriber_id: str, version: int | None) -> bool:
        """Drop the subscriber, unless a newer version is known; whether there was one to drop."""
        held = self.subscribers.get(subscriber_id)
        if version is not None:
            if held is not None and held.version > version:
                return False
            self._removed[subscriber_id] = max(version, self._removed.get(subscriber_id, version))
        if held is None:
            return False
        self._drop(held, kept=())
        return True

    def _remember(self, subscriber: IndexedSubscriber) -> None:
        if subscriber.active:
            shared = tuple(self._join(one, subscriber.ordinal) for one in subscriber.subscriptions)
            self.subscriptions += len(shared)
            subscriber = IndexedSubscriber(
                subscriber.id, subscriber.ordinal, subscriber.version, True, shared, subscriber.profile
            )
        self.subscribers[subscriber.id] = subscriber
        self.ids[subscriber.ordinal] = subscriber.id
        self._removed.pop(subscriber.id, None)

    def _join(self, one: Subscription, ordinal: int) -> Subscription:
        """The subscription with what it shares with others: a million equal filters are one."""
        pattern, profile = self.slots.join(one.pattern, self.slots.profile_number(one.profile), ordinal)
        return one if pattern is one.pattern and profile is one.profile else Subscription(one.name, pattern, profile)

    def _drop(self, held: IndexedSubscriber, kept: Collection[SlotKey]) -> None:
        """Forget the subscriber, and its place in all slots but the kept ones."""
        for key in self._slots_of(held).difference(kept):
            self.slots.part(key, held.ordinal)
        if held.active:
            self.subscriptions -= len(held.subscriptions)
        del self.subscribers[held.id]
        del self.ids[held.ordinal]

    def _slots_of(self, subscriber: IndexedSubscriber) -> set[SlotKey]:
        """The slots of a subscriber: none when inactive, one for equal subscriptions."""
        if not subscriber.active:
            return set()
        number = self.slots.profile_number
        return {(one.pattern.key, number(one.profile)) for one in subscriber.subscriptions}
