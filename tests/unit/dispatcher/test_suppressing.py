"""Addresses that must not be written to, asked for at every attempt."""

import pytest

from libs.common.domain.channels import Channel
from libs.common.domain.outcome import Accepted, NotNow
from libs.common.domain.states import State
from libs.common.domain.suppressions import Reason


async def suppress(world, address="ann@example.org", channel=Channel.EMAIL, reason=Reason.HARD_BOUNCE):
    await world.suppressions.add("acme", channel, address, reason, world.now)


async def test_nothing_is_sent_to_a_suppressed_address(world):
    world.person("ann")
    sender = world.answering()
    await suppress(world)

    await world.handle(world.work("ann"))

    assert world.state() is State.SUPPRESSED
    assert world.kept().reason == "suppressed_hard_bounce"
    assert sender.calls == []
    assert world.statuses() == ["SUPPRESSED"]


async def test_others_in_the_group_are_not_concerned(world):
    for name in ("ann", "bob"):
        world.person(name)
    sender = world.answering()
    await suppress(world)

    await world.handle(world.work("ann"), world.work("bob"))

    assert sender.calls == [world.work("bob").delivery_id]
    assert world.suppressions.reads == 1, "one read for the whole group"


async def test_a_complaint_between_two_attempts_ends_the_retries(world):
    world.person("ann")
    sender = world.answering(NotNow("http_500"), Accepted("m"))
    await world.handle(world.work("ann"))
    await suppress(world, reason=Reason.COMPLAINT)

    await world.handle(world.next_work())

    assert world.state() is State.SUPPRESSED
    assert len(sender.calls) == 1


async def test_a_lifted_address_gets_messages_again(world):
    world.person("ann")
    await suppress(world)
    await world.suppressions.lift("acme", Channel.EMAIL, "ann@example.org")
    await world.handle(world.work("ann"))
    assert world.state() is State.SENT


async def test_a_new_address_is_not_the_one_that_bounced(world):
    world.person("ann", EMAIL="ann@example.net")
    await suppress(world)
    await world.handle(world.work("ann"))
    assert world.state() is State.SENT


@pytest.mark.parametrize("channel", [Channel.INAPP, Channel.PUSH])
async def test_channels_whose_addresses_are_not_kept_cost_no_read(world, channel):
    world.person("ann", PUSH="token")
    world.channel = channel
    await world.handle(world.work("ann"))
    assert world.state() is State.SENT
    assert world.suppressions.reads == 0
