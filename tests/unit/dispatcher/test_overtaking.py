"""An owner that is slower than its lease, and somebody who gives its delivery up: one of them writes the end, and the
log tells no other."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from libs.common.domain.channels import Channel
from libs.common.domain.outcome import Accepted, NotNow, Unknown
from libs.common.domain.retry import UnknownPolicy
from libs.common.domain.states import State
from libs.common.testing.senders import ScriptedSender
from libs.common.testing.waiting import eventually

LEASE_OVER = timedelta(seconds=26)


class Slow(ScriptedSender):
    """A provider that answers when it is told to."""

    def __init__(self, answer):
        super().__init__([answer])
        self.go = asyncio.Event()

    async def send(self, message):
        answer = await super().send(message)
        await self.go.wait()
        return answer


async def sending_past_its_lease(world, work):
    """The slow owner's story, which goes on."""
    owner = asyncio.create_task(world.dispatcher().handle([work], lambda _: None))
    await eventually(lambda: world.sender.calls == [work.delivery_id])
    world.pass_time(LEASE_OVER)
    return owner


async def given_up(world, work):
    """The look at a delivery by somebody who then gives it up, and has not written that."""
    other = world.dispatcher()
    prepared = await other.prepare([replace(work)], lambda _: None)
    return other.deliver(prepared, lambda _: None)


async def test_giving_up_says_nothing_of_what_its_slow_owner_has_sent_meanwhile(world):
    world.policy = UnknownPolicy.PARK
    world.sender = Slow(Accepted("m1"))
    work = world.work(world.person())
    owner = await sending_past_its_lease(world, work)
    giving_up = await given_up(world, work)
    world.sender.go.set()
    await owner

    await giving_up

    assert world.state(work) is State.SENT
    assert world.statuses() == ["SENT"]


async def test_what_its_slow_owner_has_settled_leaves_no_dead_record(world):
    world.sender = Slow(Accepted("m1"))
    last = replace(world.work(world.person()), attempt=3, first_at=world.now)
    owner = await sending_past_its_lease(world, last)
    giving_up = await given_up(world, last)
    world.sender.go.set()
    await owner

    await giving_up

    assert world.state(last) is State.SENT
    assert world.log.of(world.topics.dead(Channel.EMAIL)) == []


@pytest.mark.parametrize("answer", [Accepted("m1"), NotNow("http_503"), Unknown("timeout")])
async def test_an_owner_that_was_given_up_tells_the_log_nothing_and_leaves_its_attempt_in_the_history(world, answer):
    """What the provider calls the message is needed for its receipt."""
    world.policy = UnknownPolicy.PARK
    world.sender = Slow(answer)
    work = world.work(world.person())
    owner = await sending_past_its_lease(world, work)
    await (await given_up(world, work))
    assert world.statuses() == ["UNKNOWN"]

    world.sender.go.set()
    await owner

    assert (world.state(work), world.kept(work).reason) == (State.UNKNOWN, "lease_expired")
    assert world.statuses() == ["UNKNOWN"]
    assert world.retries() == []
    assert [each.tried.provider for each in world.kept(work).attempts] == ["scripted"]
    assert world.kept(work).provider_message_id == ("m1" if isinstance(answer, Accepted) else "")
