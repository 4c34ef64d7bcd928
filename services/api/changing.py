"""Changes subscribers: read, edit by a pure function, write over the version that was read, tell the log. Decides
nothing about what is changed."""

from collections.abc import Callable

import msgspec

from libs.common.caching import Cache
from libs.common.clock import Clock
from libs.common.domain.errors import Unavailable
from libs.common.domain.subscribers import Subscriber, check_wishes, first_version
from libs.common.outbox import Outbox
from services.api.errors import NotFound
from services.api.ports import Ordinals, SubscriberStore

Edit = Callable[[Subscriber], Subscriber]

_TRIES = 10
"""Somebody else wrote in between, each time; more than that is no accident."""


class Subscribers:
    """Subscribers and every way to change them. A change is done when the database has it: the log hears of it at once,
    or later from the sweeper."""

    def __init__(self, store: SubscriberStore, ordinals: Ordinals, outbox: Outbox, cache: Cache, clock: Clock) -> None:
        self._store = store
        self._cache = cache
        self._ordinals = ordinals
        self._outbox = outbox
        self._clock = clock

    async def get(self, tenant: str, subscriber_id: str) -> Subscriber:
        """The subscriber. Raises `NotFound`, `Unavailable`."""
        found = await self._store.find(tenant, subscriber_id)
        if found is None or found.erased_at is not None:
            raise NotFound
        return found

    async def locale(self, tenant: str, subscriber_id: str) -> str:
        """Which language the subscriber wants, as of at most CACHE_TTL_SECONDS ago; also the answer to whether there is
        such a subscriber. Raises `NotFound`, `Unavailable`."""
        place = (_namespace(tenant, subscriber_id), "locale")
        lookup = await self._cache.get_many([place])
        if (kept := lookup.values.get(place)) is not None:
            return kept.decode(errors="replace")
        found = await self.get(tenant, subscriber_id)
        await self._cache.set(place, found.locale.encode(), lookup)
        return found.locale

    async def create(self, tenant: str, subscriber_id: str, edit: Edit) -> Subscriber | None:
        """A new subscriber, as `edit` makes it; None when there is one of this id. Raises `Unavailable`, and
        `InvalidInput` for wishes that are too large."""
        ended = await self._finish_erasing(tenant, subscriber_id)
        now = self._clock()
        blank = Subscriber(
            tenant=tenant,
            subscriber_id=subscriber_id,
            ordinal=await self._ordinals.take(tenant),
            version=first_version(now, ended),
            created_at=now,
            updated_at=now,
        )
        made = edit(blank)
        check_wishes(made)
        if not await self._store.insert(made):
            return None
        await self._cache.invalidate(_namespace(tenant, subscriber_id))
        await self._outbox.publish_soon(made)
        return made

    async def change(self, tenant: str, subscriber_id: str, edit: Edit) -> Subscriber:
        """The subscriber as it is after `edit`, which may run several times; an edit that changes nothing makes no new
        version. Raises `NotFound`, `Unavailable`, `InvalidInput` for wishes that are too large, and whatever `edit`
        raises."""
        for _ in range(_TRIES):
            found = await self.get(tenant, subscriber_id)
            edited = edit(found)
            if edited == found:
                return found
            check_wishes(edited)
            changed = msgspec.structs.replace(edited, version=found.version + 1, updated_at=self._clock())
            if await self._store.replace(changed):
                await self._cache.invalidate(_namespace(tenant, subscriber_id))
                await self._outbox.publish_soon(changed)
                return changed
        raise Unavailable("the subscriber is being changed by others all the time")

    async def put(self, tenant: str, subscriber_id: str, edit: Edit) -> Subscriber:
        """Change the subscriber, or create it: also when a crash left an account without one."""
        try:
            return await self.change(tenant, subscriber_id, edit)
        except NotFound:
            made = await self.create(tenant, subscriber_id, edit)
            return made or await self.change(tenant, subscriber_id, edit)

    async def erase(self, tenant: str, subscriber_id: str) -> None:
        """Erase a person: from here on nothing can reach them; account, log and document follow, if need be by the
        sweeper. Raises `NotFound`, `Unavailable`."""
        now = self._clock()
        await self.change(tenant, subscriber_id, lambda found: found.without_person(now))

    async def page(self, tenant: str, limit: int, after: str) -> list[Subscriber]:
        """Up to `limit` subscribers by id, from above `after` on. Raises `Unavailable`."""
        return await self._store.page(tenant, limit, after)

    async def count_active(self, tenant: str) -> int:
        """How many subscribers are active. Raises `Unavailable`."""
        return await self._store.count_active(tenant)

    async def _finish_erasing(self, tenant: str, subscriber_id: str) -> int:
        """The version with which an erased one of this id ended; 0 where nothing is left of any."""
        found = await self._store.find(tenant, subscriber_id)
        if found is None or found.erased_at is None:
            return 0
        await self._outbox.publish(found)
        return found.version


def _namespace(tenant: str, subscriber_id: str) -> str:
    return msgspec.json.encode(["people", tenant, subscriber_id]).decode()
