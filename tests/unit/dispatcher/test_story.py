"""The story of a delivery on fakes: claim, check, send, settle."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from libs.common.domain.channels import Channel
from libs.common.domain.messages import Content, RetryDelivery, StatusChanged
from libs.common.domain.outcome import Accepted, NotNow, Refused, Unknown
from libs.common.domain.retry import UnknownPolicy
from libs.common.domain.states import State
from libs.common.testing.waiting import eventually
from libs.common.topics import LARGEST_RECORD

BROKEN = NotNow("http_500")


async def test_a_delivery_is_sent_and_settled(world):
    world.person("ann")
    sender = world.answering(Accepted("m1"))
    work = world.work("ann")

    assert await world.handle(work) == [work]

    assert world.state(work) is State.SENT
    assert world.kept(work).provider_message_id == "m1"
    assert sender.calls == [work.delivery_id]
    assert world.statuses() == ["SENT"]


async def test_a_status_event_says_what_happened(world):
    world.person("ann")
    work = world.work("ann")
    await world.handle(work)

    [record] = world.log.of(world.topics.status)
    status = msgspec.json.decode(record.value, type=StatusChanged)
    assert status.type == "sigmora.delivery.sent.v1"
    assert status.id == f"{work.delivery_id}:SENT:1"
    assert (status.tenant, status.subject) == ("acme", work.delivery_id)
    assert (status.data.provider, status.data.attempt) == ("scripted", 1)
    assert b"example.org" not in record.value, "no address is ever on the log"


async def test_a_record_seen_again_has_no_second_effect(world):
    world.person("ann")
    sender = world.answering()
    work = world.work("ann")
    await world.handle(work)

    assert await world.handle(work) == [work]

    assert len(sender.calls) == 1
    assert world.statuses() == ["SENT"]


async def test_two_failures_and_a_success_make_three_attempts(world):
    world.person("ann")
    world.answering(BROKEN, BROKEN, Accepted())

    await world.work_off(world.work("ann"))

    kept = world.kept()
    assert kept.found.state is State.SENT
    assert kept.found.attempt == 3
    assert [each.claim.attempt for each in kept.attempts] == [1, 2, 3]
    assert world.statuses() == ["RETRYING", "RETRYING", "SENT"]


async def test_a_refusal_ends_it_at_the_first_attempt(world):
    world.person("ann")
    world.answering(Refused("http_400"))

    await world.handle(world.work("ann"))

    assert world.state() is State.UNDELIVERABLE
    assert world.kept().reason == "http_400"
    assert world.retries() == []


async def test_used_up_retries_end_in_the_dead_topic(world):
    world.person("ann")
    sender = world.answering(*[BROKEN] * 9)

    await world.work_off(world.work("ann"))

    assert world.state() is State.DEAD
    assert len(sender.calls) == 3, "the first attempt and one for each of the two tiers"
    [dead] = [
        msgspec.json.decode(each.value, type=RetryDelivery) for each in world.log.of(world.topics.dead(Channel.EMAIL))
    ]
    assert (dead.attempt, dead.reason, dead.delivery_id) == (3, "http_500", world.work().delivery_id)


async def test_each_failure_waits_in_its_tier(world):
    world.person("ann")
    world.answering(BROKEN, BROKEN)
    started = world.now

    await world.handle(world.work("ann"))
    await world.handle(world.next_work())

    first, second = world.retries()
    assert first.due_at == started + timedelta(seconds=5)
    assert second.due_at == first.due_at + timedelta(seconds=30)
    assert [len(world.log.of(world.topics.retry(Channel.EMAIL, tier))) for tier in (1, 2)] == [1, 1]
    assert second.first_at == started


async def test_retry_after_picks_the_first_tier_that_is_long_enough(world):
    world.person("ann")
    world.answering(NotNow("http_429", timedelta(seconds=20)))

    await world.handle(world.work("ann"))

    assert len(world.log.of(world.topics.retry(Channel.EMAIL, 2))) == 1


async def test_an_unknown_outcome_is_sent_again_with_the_same_key(world):
    world.person("ann")
    sender = world.answering(Unknown("timeout"), Accepted())

    await world.work_off(world.work("ann"))

    assert len(set(sender.calls)) == 1
    assert len(sender.calls) == 2
    assert world.statuses() == ["UNKNOWN", "SENT"]


async def test_an_unknown_outcome_is_parked_where_a_second_message_costs(world):
    world.person("ann")
    world.policy = UnknownPolicy.PARK
    world.answering(Unknown("timeout"))

    await world.handle(world.work("ann"))

    assert world.state() is State.UNKNOWN
    assert world.retries() == []


@pytest.mark.parametrize(
    ("change", "state", "reason"),
    [
        (lambda world: world.person("ann", active=False), State.SUPPRESSED, "unsubscribed"),
        (lambda world: world.recipients.people.clear(), State.SUPPRESSED, "unknown_subscriber"),
        (lambda world: world.person("ann", SMS="+4930123"), State.UNDELIVERABLE, "no_address"),
    ],
    ids=["unsubscribed", "erased", "no address"],
)
async def test_consent_is_checked_before_every_attempt(world, change, state, reason):
    """What changed after the first attempt decides about the second."""
    world.person("ann")
    sender = world.answering(BROKEN)
    await world.handle(world.work("ann"))
    change(world)

    await world.handle(world.next_work())

    assert (world.state(), world.kept().reason) == (state, reason)
    assert len(sender.calls) == 1
    assert world.statuses()[-1] == state


async def test_what_has_expired_is_not_sent(world):
    world.person("ann")
    sender = world.answering()
    work = world.work("ann", world.event(expiresat=world.now))

    await world.handle(work)

    assert world.state(work) is State.EXPIRED
    assert sender.calls == []


async def test_the_feed_needs_no_address(world):
    world.channel = Channel.INAPP
    world.person("ann", SMS="+4930123")
    await world.handle(world.work("ann"))
    assert world.state() is State.SENT


async def test_a_group_is_claimed_and_settled_together(world):
    works = [world.work(world.person(f"person-{number}")) for number in range(50)]
    sender = world.answering()

    done = await world.handle(*works)

    assert {each.delivery_id for each in done} == set(sender.calls)
    assert {world.state(each) for each in works} == {State.SENT}


async def test_a_delivery_that_stands_twice_in_a_group_is_sent_once(world):
    world.person("ann")
    sender = world.answering()
    first, second = world.work("ann"), world.work("ann")

    done = await world.handle(first, second)

    assert len(done) == 2
    assert len(sender.calls) == 1


async def test_a_slow_endpoint_does_not_hold_up_its_group(world):
    """The others are done while one call is still open."""
    slow, quick = world.work(world.person("slow")), world.work(world.person("quick"))
    answer = asyncio.Event()
    done = []

    class Provider:
        provider = "slow"

        async def send(self, message):
            if message.delivery_id == slow.delivery_id:
                await answer.wait()
            return Accepted()

    world.sender = Provider()
    handling = asyncio.create_task(world.dispatcher().handle([slow, quick], done.append))
    await eventually(lambda: bool(done))
    assert done == [quick]

    answer.set()
    await handling
    assert done == [quick, slow]


async def test_a_sender_that_breaks_loses_nothing(world):
    world.person("ann")
    world.answering(ZeroDivisionError("a defect"), Accepted())

    await world.work_off(world.work("ann"))

    assert world.state() is State.SENT
    assert world.statuses() == ["UNKNOWN", "SENT"]


async def test_a_claim_that_waited_too_long_for_a_slot_is_given_back_without_costing_an_attempt(world):
    world.person("ann")
    sender = world.answering()
    dispatcher = world.dispatcher()
    done = []
    prepared = await dispatcher.prepare([world.work("ann")], done.append)
    world.pass_time(timedelta(seconds=20))

    await dispatcher.deliver(prepared, done.append)

    assert sender.calls == []
    assert world.state() is State.RETRYING
    assert [retry.attempt for retry in world.retries()] == [1]
    await world.handle(world.next_work())
    assert world.kept().found.attempt == 1
    assert world.state() is State.SENT


async def test_an_event_too_large_for_its_retry_record_ends_there(world):
    """The record of the next attempt does not fit the log: nothing can follow, and nothing may loop."""
    world.person("ann")
    world.person("ben")
    world.answering(BROKEN, BROKEN)
    large = world.event(data=Content(title="Large", content="x" * LARGEST_RECORD * 2))
    small, too_large = world.work("ben"), world.work("ann", large)

    await world.handle(small, too_large)

    assert world.state(too_large) is State.UNDELIVERABLE
    assert world.kept(too_large).reason == "too_large_to_retry"
    assert world.state(small) is State.RETRYING


async def test_a_late_write_changes_nothing(world):
    """A dispatcher that slept past its lease, and was taken over, must not overwrite what the other wrote."""
    world.person("ann")
    work = world.work("ann")

    def sleep_past_the_lease():
        world.pass_time(timedelta(minutes=1))
        found = world.kept(work).found
        other = replace(found, fence=found.fence + 1, state=State.SENT, lease_until=None)
        world.store.kept[work.delivery_id] = replace(world.kept(work), found=other)

    class Zombie:
        provider = "scripted"

        async def send(self, message):
            sleep_past_the_lease()
            return NotNow("http_500")

    world.sender = Zombie()
    await world.handle(work)

    assert world.state(work) is State.SENT
    assert world.retries() == [], "the log must not promise another attempt either"
    assert world.statuses() == []


async def test_a_receipt_that_is_faster_than_our_own_write_stands(world):
    world.person("ann")
    work = world.work("ann")

    class Provider:
        provider = "scripted"

        async def send(self, message):
            kept = world.kept(work)
            world.store.kept[work.delivery_id] = replace(kept, found=replace(kept.found, state=State.DELIVERED))
            return Accepted("m1")

    world.sender = Provider()
    await world.handle(work)

    assert world.state(work) is State.DELIVERED
    assert world.kept(work).provider_message_id == "m1"
