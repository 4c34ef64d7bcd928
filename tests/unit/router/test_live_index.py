"""The index is whole or not there, and follows what people want."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from pyroaring import BitMap

from libs.common.domain.channels import Channel
from libs.common.domain.errors import Unavailable
from libs.common.domain.index import Gathered, Profile, SubscriptionIndex
from libs.common.domain.messages import SubscriberChanged
from libs.common.domain.pattern import flatten
from libs.common.domain.subscribers import tombstone_headers
from libs.common.ports import Received
from libs.common.testing.waiting import eventually
from libs.common.testing.wishes import MemoryWishes


async def test_until_it_is_whole_there_is_no_index(world: Any) -> None:
    live = world.live_index()

    with pytest.raises(Unavailable):
        live.index  # noqa: B018 - the look alone must raise
    with pytest.raises(Unavailable):
        await live.ready()


async def test_an_index_that_may_be_stale_is_not_ready_until_the_changes_are_heard_of_again(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the topic of changes alone could not be reached, a router went on with an old index and looked ready."""
    monkeypatch.setattr("services.router.live_index._TELL_EVERY", 0.01)

    def told() -> float | None:
        return world.metrics.registry.get_sample_value("sigmora_index_ready")

    async with world.indexed() as live:
        await eventually(lambda: told() == 1)
        monkeypatch.setattr("services.router.live_index._FRESH", 0.0)
        with pytest.raises(Unavailable, match="may be stale"):
            await live.ready()
        await eventually(lambda: told() == 0)

        monkeypatch.setattr("services.router.live_index._FRESH", 15.0)
        live._confirmed -= 60
        with pytest.raises(Unavailable, match="60 s ago"):
            await live.ready()
        world.changes.put(world.join("ann"))  # one partition may be heard of while another is not
        await eventually(lambda: live.position == {"0": 1})
        with pytest.raises(Unavailable):
            await live.ready()

        world.changes.confirm()
        await eventually(lambda: told() == 1)
        assert await live.ready() == {"subscribers": 1, "position": {"0": 1}}


async def test_it_waits_for_kafka_and_the_database(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """F31."""
    monkeypatch.setattr("services.router.live_index._PAUSE", 0.01)
    world.changes.away = world.people.away = True
    live = world.live_index()
    running = asyncio.create_task(live.run())
    for port in (world.changes, world.people):
        refused = port.refusals
        await eventually(lambda port=port, refused=refused: port.refusals > refused + 1)
        assert not live._loaded.is_set()
        port.away = False

    await asyncio.wait_for(live.loaded(), 5)

    assert await live.ready() == {"subscribers": 0, "position": {"0": 0}}
    running.cancel()


async def test_a_change_is_in_the_index_and_in_its_position(world: Any) -> None:
    world.join("ann")
    async with world.indexed() as live:
        world.changes.put(world.join("bob", ordinal=9))
        await eventually(lambda: live.index.subscriber("acme", "bob") is not None)

        assert live.index.subscriber("acme", "ann") is not None
        assert live.position == {"0": 1}


async def test_what_changes_while_the_scan_runs_is_not_missed(world: Any) -> None:
    """The ends are taken before the scan, so the record of a change after that is read."""
    late = SubscriberChanged(tenant="acme", subscriber_id="late", ordinal=5, version=2, active=True)

    class Slow(MemoryWishes):
        async def scan(self) -> AsyncIterator[list[SubscriberChanged]]:
            async for batch in super().scan():
                yield batch
            world.changes.put(late)  # its document was passed over already

    world.people = Slow()
    async with world.indexed() as live:
        await eventually(lambda: live.index.subscriber("acme", "late") is not None)


async def test_an_older_version_changes_nothing(world: Any) -> None:
    world.join("ann", {"topic": ["new"]}, version=5)
    async with world.indexed() as live:
        world.changes.put(SubscriberChanged(tenant="acme", subscriber_id="ann", ordinal=1, version=4, active=False))
        await eventually(lambda: live.position == {"0": 1})

        assert live.index.subscriber("acme", "ann").version == 5


async def test_a_tombstone_removes(world: Any) -> None:
    world.join("a:b")
    async with world.indexed() as live:
        world.changes.append(b"acme:a:b", None)
        await eventually(lambda: live.index.subscriber("acme", "a:b") is None)


async def test_an_index_built_while_somebody_is_erased_hears_of_them_when_they_come_back(world: Any) -> None:
    """The document that was about to go was taken for a subscriber, and no tombstone came any more: their new versions
    looked older, and they stayed unheard until the next load."""
    world.join("ann", version=4, active=False)
    world.people.erasing.add(("acme", "ann"))
    async with world.indexed() as live:
        world.changes.put(world.join("ann", ordinal=77))
        await eventually(lambda: live.position == {"0": 1})

        assert live.index.subscriber("acme", "ann").ordinal == 77


async def test_a_version_that_comes_after_the_tombstone_revives_nobody(world: Any) -> None:
    """An append that was given up may still land, behind the tombstone of another process."""
    third = world.join("ann", version=3)
    async with world.indexed() as live:
        world.changes.append(b"acme:ann", None, tombstone_headers(4))
        world.changes.put(third)
        await eventually(lambda: live.position == {"0": 2})
        assert live.index.subscriber("acme", "ann") is None

        world.changes.put(world.join("ann", version=5, ordinal=77))
        await eventually(lambda: live.index.subscriber("acme", "ann") is not None)


async def test_a_tombstone_that_comes_late_removes_nobody_who_has_come_back(world: Any) -> None:
    world.join("ann", version=5)
    async with world.indexed() as live:
        world.changes.append(b"acme:ann", None, tombstone_headers(4))
        await eventually(lambda: live.position == {"0": 1})

        assert live.index.subscriber("acme", "ann").version == 5


@pytest.mark.parametrize("version", [b"", b"x", b"-1", b"\xff", b"9" * 30])
async def test_a_tombstone_whose_version_is_none_is_poison(world: Any, version: bytes) -> None:
    async with world.indexed() as live:
        world.changes.append(b"acme:ann", None, (("version", version),))
        await eventually(lambda: live.position == {"0": 1})

    assert len(world.log.of("dead-letters")) == 1


@pytest.mark.parametrize(
    ("key", "value"), [(b"acme:x", b"{"), (b"acme:x", b"{}"), (b"nobody", None), (b"\xff", None), (None, None)]
)
async def test_a_poison_change_is_kept_and_the_next_is_taken(
    world: Any, key: bytes | None, value: bytes | None
) -> None:
    async with world.indexed() as live:
        world.changes.append(key, value)
        world.changes.put(world.join("ann"))
        await eventually(lambda: live.index.subscriber("acme", "ann") is not None)

    (letter,) = world.log.of("dead-letters")
    assert (letter.key, letter.value) == (key, value)
    assert dict(letter.headers)["sigmora-origin"] == b"subscriptions/0/0"


async def test_a_change_that_claims_a_taken_ordinal_is_poison(world: Any) -> None:
    world.join("ann", ordinal=1)
    async with world.indexed() as live:
        world.changes.put(SubscriberChanged(tenant="acme", subscriber_id="eve", ordinal=1, version=1, active=True))
        await eventually(lambda: live.position == {"0": 1})

    assert len(world.log.of("dead-letters")) == 1


async def test_dead_letters_wait_for_the_log(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.router.live_index._PAUSE", 0.01)
    world.log.away = True
    async with world.indexed() as live:
        world.changes.append(b"x", b"poison")
        await eventually(lambda: world.log.refusals > 1)
        assert live.position == {"0": 0}

        world.log.away = False
        await eventually(lambda: live.position == {"0": 1})

    assert len(world.log.of("dead-letters")) == 1


async def test_when_following_is_over_it_is_built_anew_and_serves_meanwhile(world: Any) -> None:
    world.join("ann", channels=(Channel.EMAIL,))
    async with world.indexed() as live:
        before = live.index
        world.join("bob")  # its record was lost

        world.changes.cut()
        await eventually(lambda: live.index is not before)

        assert before.subscriber("acme", "ann") is not None
        assert live.index.subscriber("acme", "bob") is not None


async def test_a_defect_while_following_does_not_end_it(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.router.live_index._PAUSE", 0.01)
    since = world.changes.since

    async def broken(positions: Mapping[int, int]) -> AsyncIterator[list[Received]]:
        monkeypatch.setattr(world.changes, "since", since)
        raise RuntimeError("a defect")
        yield []

    monkeypatch.setattr(world.changes, "since", broken)
    async with world.indexed() as live:
        world.changes.put(world.join("ann"))
        await eventually(lambda: live.index.subscriber("acme", "ann") is not None)


async def test_two_with_one_ordinal_in_the_database_cost_one_of_them_the_place(world: Any) -> None:
    world.join("ann", ordinal=1)
    world.join("eve", ordinal=1)
    async with world.indexed() as live:
        assert live.index.counts().subscribers == 1


async def test_an_event_that_is_dear_to_match_holds_up_nothing_but_changes_of_the_index(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event of 40,000 values took 20 s with a thousand numeric filters. No heart beat meanwhile, the group threw the
    router out, and the event came again."""
    begun, may_end = threading.Event(), threading.Event()

    class Slow(SubscriptionIndex):
        def verify(self, tenant: str, gathered: Gathered) -> list[tuple[Profile, BitMap]]:
            begun.set()
            assert may_end.wait(10)
            return super().verify(tenant, gathered)

    monkeypatch.setattr("services.router.live_index.SubscriptionIndex", Slow)
    monkeypatch.setattr("services.router.live_index._DEAR", 3)
    world.join("ann", {"data": {"prices": [{"numeric": [">", 2]}]}})
    prices = flatten({"data": {"prices": [1, 2, 3, 4]}})
    async with world.indexed() as live:
        matching = asyncio.create_task(live.match("acme", prices))
        await eventually(begun.is_set)

        world.changes.put(world.join("bob"))
        for _ in range(20):  # the loop goes on, and the change is not taken in
            await asyncio.sleep(0)
        assert live.index.subscriber("acme", "bob") is None

        may_end.set()
        [(_, who)] = await matching
        assert list(who) == [1]
        await eventually(lambda: live.index.subscriber("acme", "bob") is not None)
