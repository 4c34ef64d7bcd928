"""A crash at every step, and what the record finds when it comes again: the delivery is sent, and an honouring provider
does it once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from libs.common.domain.deliveries import Lease
from libs.common.domain.errors import Unavailable
from libs.common.domain.outcome import NotNow, Refused, Unknown
from libs.common.domain.retry import UnknownPolicy
from libs.common.domain.states import SETTLED, State

LEASE_OVER = timedelta(seconds=26)


class Crash(Exception):
    """The process is gone: its story ends here, and nothing that it held in memory is left."""


class CrashingLog:
    """A log that dies before or after it has written."""

    def __init__(self, log, *, after):
        self.log = log
        self.after = after

    async def append(self, records):
        if self.after:
            await self.log.append(records)
        raise Crash


class CrashingStore:
    """A store whose process dies at one call, before or after it took effect."""

    def __init__(self, store, call, *, after):
        self.store, self.call, self.after = store, call, after

    def __getattr__(self, name):
        method = getattr(self.store, name)

        async def crash(*arguments):
            if self.after:
                await method(*arguments)
            raise Crash

        return crash if name == self.call else method


async def crash_at(world, step, *works):
    """Handle `works` in a process that ends at `step`."""
    log, store, recipients = world.log, world.store, world.recipients
    where, _, when = step.partition(" ")
    after = when == "done"
    if where == "log":
        world.log = CrashingLog(log, after=after)
    elif where == "check":
        world.recipients = CrashingStore(recipients, "find", after=after)
    else:
        world.store = CrashingStore(store, where, after=after)
    dispatcher = world.dispatcher()
    done = []
    with pytest.raises(Crash):
        await dispatcher.handle(works, done.append)
    assert done == [], "its offset must not be committed"
    world.log, world.store, world.recipients = log, store, recipients


STEPS = ["insert", "insert done", "check", "check done", "log", "log done", "settle", "settle done"]
"""Before or after a call took effect; `log` is the moment after the provider took the message."""


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("lease_over", [False, True], ids=["lease alive", "lease over"])
async def test_a_crash_at_any_step_loses_nothing_and_doubles_nothing(world, step, lease_over):
    world.person("ann")
    sender = world.answering()
    work = world.work("ann")
    await crash_at(world, step, work)
    if lease_over:
        world.pass_time(LEASE_OVER)

    await world.work_off(replace(work))

    assert world.state(work) is State.SENT
    assert sender.effects == {work.delivery_id: 1}
    assert len(sender.calls) <= 2


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_around_a_failed_attempt_keeps_its_retry(world, step):
    """The provider refuses for now; the process dies somewhere on the way to the retry record."""
    world.person("ann")
    sender = world.answering(NotNow("http_503"))
    work = world.work("ann")
    await crash_at(world, step, work)

    await world.work_off(replace(work))

    assert world.state(work) is State.SENT
    assert sender.effects == {work.delivery_id: 1}


@pytest.mark.parametrize("step", ["find", "take", "take done", *STEPS[2:]])
async def test_a_crash_on_a_retry_record_loses_nothing_and_doubles_nothing(world, step):
    world.person("ann")
    sender = world.answering(NotNow("http_503"))
    work = world.work("ann")
    await world.handle(work)
    retry = world.next_work()
    await crash_at(world, step, retry)
    world.pass_time(LEASE_OVER)

    await world.work_off(replace(retry))

    assert world.state(work) is State.SENT
    assert sender.effects == {work.delivery_id: 1}


async def test_a_claim_that_is_alive_is_put_off_until_its_lease_is_over(world):
    """Somebody else may be sending: nobody else may."""
    world.person("ann")
    sender = world.answering()
    work = world.work("ann")
    await crash_at(world, "insert done", work)

    assert await world.handle(replace(work)) == [work]

    assert sender.calls == []
    [retry] = world.retries()
    assert retry.attempt == 1
    assert retry.due_at >= world.now + timedelta(seconds=25)


async def test_a_crash_before_the_answer_was_recorded_is_parked_where_a_second_message_costs(world):
    world.person("ann")
    world.policy = UnknownPolicy.PARK
    sender = world.answering()
    work = world.work("ann")
    await crash_at(world, "log", work)
    world.pass_time(LEASE_OVER)

    await world.handle(replace(work))

    assert world.state(work) is State.UNKNOWN
    assert world.kept(work).reason == "lease_expired"
    assert len(sender.calls) == 1
    assert world.statuses() == ["UNKNOWN"]


async def test_a_retry_record_proves_that_the_attempt_before_it_was_answered(world):
    """The log has the next attempt, the state was never written: even a channel that parks goes on."""
    world.person("ann")
    world.policy = UnknownPolicy.PARK
    sender = world.answering(NotNow("http_503"))
    work = world.work("ann")
    await crash_at(world, "log done", work)
    retry = world.next_work()
    world.pass_time(LEASE_OVER)

    await world.handle(retry)

    assert world.state(work) is State.SENT
    assert sender.effects == {work.delivery_id: 1}


async def test_two_records_of_one_delivery_make_one_more_attempt(world):
    """After a crash both the first record and the retry record are there; one claims, the other has nothing to do."""
    world.person("ann")
    sender = world.answering(NotNow("http_503"))
    work = world.work("ann")
    await crash_at(world, "log done", work)
    retry = world.next_work()
    world.pass_time(LEASE_OVER)

    await world.work_off(replace(work), retry)
    await world.work_off(replace(work), replace(retry))

    assert len(sender.calls) == 2
    assert world.state(work) is State.SENT


async def test_a_crash_at_the_last_attempt_ends_in_the_dead_topic(world):
    world.person("ann")
    world.answering(*[Unknown("timeout")] * 3)
    await world.handle(world.work("ann"))
    await world.handle(world.next_work())
    last = world.next_work()
    await crash_at(world, "log", last)
    world.pass_time(LEASE_OVER)

    await world.handle(replace(last))

    assert world.state() is State.DEAD
    assert len(world.log.of(world.topics.dead(last.channel))) == 1


@pytest.mark.parametrize("state", sorted(SETTLED))
async def test_nothing_starts_for_a_settled_delivery(world, state):
    """A replay, or a record of long ago: it is skipped."""
    world.person("ann")
    sender = world.answering(Refused("http_400"))
    work = world.work("ann")
    await world.handle(work)
    kept = world.kept(work)
    world.store.kept[work.delivery_id] = replace(kept, found=replace(kept.found, state=state))

    assert await world.handle(replace(work)) == [work]

    assert len(sender.calls) == 1
    assert world.state(work) is state


async def test_an_old_record_does_not_overtake_the_retry_that_waits(world):
    """Never earlier than due: the first record comes again while the second attempt waits in its tier."""
    world.person("ann")
    sender = world.answering(NotNow("http_503"))
    work = world.work("ann")
    await world.handle(work)

    assert await world.handle(replace(work)) == [work]

    assert len(sender.calls) == 1
    assert len(world.retries()) == 1


async def test_a_retry_of_a_delivery_that_the_store_has_lost_is_claimed_anew(world):
    world.person("ann")
    world.answering(NotNow("http_503"))
    await world.handle(world.work("ann"))
    retry = world.next_work()
    world.store.kept.clear()

    await world.handle(retry)

    assert world.state(retry) is State.SENT
    assert world.kept(retry).found.attempt == 2


class LosingStore:
    """A store whose answer to one call is lost once, after the call took effect."""

    def __init__(self, store, call):
        self.store, self.call = store, call

    def __getattr__(self, name):
        method = getattr(self.store, name)

        async def lose(*arguments):
            result = await method(*arguments)
            if name == self.call:
                self.call = ""
                raise Unavailable("the answer was lost")
            return result

        return lose


class RacedStore:
    """A store in which somebody else claims a delivery just before we do."""

    def __init__(self, store, other):
        self.store, self.other = store, other

    def __getattr__(self, name):
        return getattr(self.store, name)

    async def insert(self, claims):
        await self.store.insert([(work, self.other) for work, _ in claims])
        return await self.store.insert(claims)


@pytest.mark.parametrize("call", ["insert", "find", "take", "settle"])
async def test_a_lost_answer_of_the_database_costs_neither_a_delivery_nor_an_attempt(world, call):
    """The call is made again, and finds what it did itself: that is not somebody else's claim."""
    world.person("ann")
    sender = world.answering(NotNow("http_503"))
    work = world.work("ann")
    store = world.store
    world.store = LosingStore(store, call)

    await world.handle(work)
    world.store = LosingStore(store, call)
    await world.handle(world.next_work())
    world.store = store

    assert world.state(work) is State.SENT
    assert (len(sender.calls), world.kept(work).found.attempt) == (2, 2)
    assert [retry.attempt for retry in world.retries()] == [2], "nothing was put off"


def put_off_unclaimed(world):
    """A delivery that was put off before anybody claimed it: it comes from a tier, and the store has never seen it."""
    return replace(world.work(world.person("ann")), first_at=world.now)


async def test_a_lost_answer_to_the_first_claim_of_what_was_put_off_does_not_park_it(world):
    """The insert is made again and finds our own claim, which nobody else holds."""
    world.policy = UnknownPolicy.PARK
    sender = world.answering()
    work = put_off_unclaimed(world)
    world.store = LosingStore(world.store, "insert")

    await world.work_off(work)

    world.store = world.store.store
    assert world.state(work) is State.SENT
    assert sender.calls == [work.delivery_id]
    assert world.retries() == [], "nothing was put off"


async def test_what_somebody_else_claims_between_the_look_and_the_insert_is_put_off(world):
    sender = world.answering()
    work = put_off_unclaimed(world)
    other = Lease("somebody else", world.now, world.now + timedelta(seconds=25))
    world.store = RacedStore(world.store, other)

    assert await world.handle(work) == [work]

    assert sender.calls == []
    assert [retry.reason for retry in world.retries()] == ["claimed_elsewhere"]


async def test_a_takeover_is_another_attempt(world):
    world.person("ann")
    world.answering()
    work = world.work("ann")
    await crash_at(world, "log", work)
    world.pass_time(LEASE_OVER)

    await world.handle(replace(work))

    assert (world.state(work), world.kept(work).found.attempt) == (State.SENT, 2)


@pytest.mark.parametrize("first", [True, False], ids=["first record first", "retry record first"])
async def test_of_two_records_in_a_group_the_later_attempt_counts(world, first):
    world.person("ann")
    world.answering(NotNow("http_503"))
    work = world.work("ann")
    await world.handle(work)
    records = [replace(work), world.next_work()]

    done = await world.handle(*(records if first else reversed(records)))

    assert len(done) == 2
    assert world.state(work) is State.SENT
