"""A process that stops: what is being sent is settled; what waits for its turn is put off and not left to its lease,
after which nobody could tell that it was never sent."""

import asyncio

import pytest

from libs.common.domain.channels import Channel
from libs.common.domain.outcome import Accepted, NotNow, Unknown
from libs.common.domain.retry import UnknownPolicy
from libs.common.domain.states import State
from libs.common.testing.senders import QueryableSender, ScriptedSender
from libs.common.testing.waiting import eventually

AT_ONCE = 7
"""Calls that a provider of the world gets at once in the standard lane."""


class Slow(ScriptedSender):
    """A provider that answers when it is told to."""

    def __init__(self, answers=()):
        super().__init__(answers)
        self.go = asyncio.Event()

    async def send(self, message):
        answer = await super().send(message)
        await self.go.wait()
        return answer


@pytest.fixture
async def stopping(world):
    """A world in which as many messages are being sent as may be, three wait for their turn, and the process is told to
    stop."""
    world.policy = UnknownPolicy.PARK
    world.sender = sender = Slow()
    works = [world.work(world.person(f"p{number}"), world.event(number)) for number in range(AT_ONCE + 3)]
    dispatcher, done = world.dispatcher(), []
    handling = asyncio.create_task(dispatcher.handle(works, done.append))
    await eventually(lambda: len(sender.calls) == AT_ONCE)
    dispatcher.stop()
    yield world, works, done
    sender.go.set()
    await handling


async def test_what_waits_for_its_turn_at_a_stop_is_put_off_and_not_left_to_its_lease(stopping):
    world, works, done = stopping

    await eventually(lambda: len(done) == 3)

    assert done == works[AT_ONCE:]
    assert {world.state(work) for work in done} == {State.RETRYING}
    assert [(each.attempt, each.reason) for each in world.retries()] == [(1, "stopping")] * 3
    assert len(world.sender.calls) == AT_ONCE


async def test_what_is_being_sent_at_a_stop_is_settled(stopping):
    world, works, done = stopping
    assert {world.state(work) for work in works[:AT_ONCE]} == {State.SENDING}

    world.sender.go.set()
    await eventually(lambda: len(done) == len(works))

    assert {world.state(work) for work in works[:AT_ONCE]} == {State.SENT}
    assert len(world.sender.calls) == AT_ONCE


async def test_what_a_stop_put_off_is_sent_after_the_restart_as_its_first_attempt(stopping):
    world, works, done = stopping
    await eventually(lambda: len(done) == 3)
    world.sender.go.set()
    sender = world.answering()

    await world.work_off()

    assert sorted(sender.calls) == sorted(work.delivery_id for work in works[AT_ONCE:])
    assert {(world.state(work), world.kept(work).found.attempt) for work in done[:3]} == {(State.SENT, 1)}


async def test_what_is_claimed_while_we_stop_is_put_off(world):
    sender = world.answering()
    dispatcher, done = world.dispatcher(), []
    work = world.work(world.person())
    prepared = await dispatcher.prepare([work], done.append)
    dispatcher.stop()

    await dispatcher.deliver(prepared, done.append)

    assert (done, sender.calls) == ([work], [])
    assert [retry.reason for retry in world.retries()] == ["stopping"]


async def test_a_stop_between_two_providers_keeps_what_the_first_one_said(world):
    """The attempt has been made; the spare is not asked any more."""
    spare = ScriptedSender()
    world.spares = [spare]
    world.sender = Slow([NotNow("http_503")])
    dispatcher = world.dispatcher()
    work = world.work(world.person())
    handling = asyncio.create_task(dispatcher.handle([work], lambda _: None))
    await eventually(lambda: len(world.sender.calls) == 1)

    dispatcher.stop()
    world.sender.go.set()
    await handling

    assert spare.calls == []
    assert [(retry.attempt, retry.reason) for retry in world.retries()] == [(2, "http_503")]


async def test_what_is_in_doubt_is_not_asked_about_once_we_stop_and_stays_in_doubt(world):
    world.policy = UnknownPolicy.QUERY
    world.sender = sender = QueryableSender([Unknown("timeout")])
    work = world.work(world.person())
    await world.handle(work)
    dispatcher = world.dispatcher()
    dispatcher.stop()

    await dispatcher.handle([world.next_work()], lambda _: None)

    assert (len(sender.calls), sender.asked) == (1, [])
    assert world.state(work) is State.UNKNOWN
    assert [(retry.attempt, retry.reason) for retry in world.retries()] == [(2, "timeout"), (2, "stopping")]


class Together(ScriptedSender):
    """A provider that takes many messages in one call."""

    async def send_many(self, messages):
        return [await self.send(message) for message in messages]


async def test_what_would_be_sent_together_is_put_off_too(world):
    world.channel = Channel.INAPP
    world.sender = sender = Together([Accepted()])
    dispatcher, done = world.dispatcher(), []
    works = [world.work(world.person(f"p{number}", INAPP="")) for number in range(2)]
    dispatcher.stop()

    await dispatcher.handle(works, done.append)

    assert (done, sender.calls) == (works, [])
    assert [retry.reason for retry in world.retries()] == ["stopping"] * 2


async def test_who_waits_for_a_token_of_a_rate_does_not_keep_a_stop_waiting(world):
    """At one call in 100 s it would outlive the stop and its lease."""
    world.rate = 0.01
    flow = world.flow()
    dispatcher, done = world.dispatcher(), []
    flow.providers[0].slots._bucket.take(world.seconds())
    prepared = await dispatcher.prepare([world.work(world.person())], done.append)
    delivering = asyncio.create_task(dispatcher.deliver(prepared, done.append))
    await eventually(lambda: flow.providers[0].slots.waiting == 1)

    dispatcher.stop()
    async with asyncio.timeout(5):
        await delivering

    assert [retry.reason for retry in world.retries()] == ["stopping"]
