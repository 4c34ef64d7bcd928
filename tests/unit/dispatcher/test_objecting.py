"""Consent is asked for again when a message had to wait for its turn: it was cleared before, and that is long ago."""

from datetime import timedelta

import pytest

from libs.common.domain.channels import MAIN_ENDPOINT, Channel
from libs.common.domain.consent import Recipient
from libs.common.domain.outcome import Accepted
from libs.common.domain.states import State
from libs.common.domain.suppressions import Reason


@pytest.fixture
def two(world):
    """Ann and Bob, whose messages are cleared together; Bob's has to wait for Ann's."""
    for name in ("ann", "bob"):
        world.person(name)
    return world


def while_bob_waits(world, *steps):
    """The provider takes three seconds over Ann's message; the steps happen meanwhile."""

    def slowly():
        world.pass_time(timedelta(seconds=3))
        for step in steps:
            step()

    return world.answering(slowly)


async def test_who_unsubscribes_while_a_message_waits_does_not_get_it(two):
    """It would have gone out up to fifteen seconds after the unsubscribe was acknowledged."""
    sender = while_bob_waits(two, lambda: two.person("bob", active=False))

    await two.handle(two.work("ann"), two.work("bob"))

    assert sender.calls == [two.work("ann").delivery_id]
    assert two.state(two.work("bob")) is State.SUPPRESSED
    assert two.kept(two.work("bob")).reason == "unsubscribed"


async def test_an_address_that_is_suppressed_meanwhile_is_not_written_to(two):
    await two.suppressions.add("acme", Channel.EMAIL, "bob@example.org", Reason.COMPLAINT, two.now)
    complaint = two.suppressions.kept.popitem()
    sender = while_bob_waits(two, lambda: two.suppressions.kept.update([complaint]))

    await two.handle(two.work("ann"), two.work("bob"))

    assert sender.calls == [two.work("ann").delivery_id]
    assert two.state(two.work("bob")) is State.SUPPRESSED


async def test_a_message_to_an_old_address_is_put_off_and_goes_to_the_new_one(two):
    def move():
        new = {(Channel.EMAIL, MAIN_ENDPOINT): "new@example.org"}
        two.recipients.people["acme", "bob"] = Recipient(active=True, addresses=new)

    while_bob_waits(two, move)
    await two.handle(two.work("ann"), two.work("bob"))
    [retry] = two.retries()
    assert (retry.attempt, retry.reason) == (1, "address_changed")

    sender = two.answering(Accepted("m2"))
    await two.handle(two.next_work())

    assert sender.calls == [two.work("bob").delivery_id]
    assert two.state(two.work("bob")) is State.SENT


async def test_nobody_is_asked_twice_while_providers_are_quick(two):
    await two.handle(two.work("ann"), two.work("bob"))

    assert two.suppressions.reads == 1


async def test_a_fifth_of_a_second_is_long_enough_to_ask_again(two):
    """A second was allowed: seven webhooks were called half a second after an acknowledged unsubscribe."""

    def slowly():
        two.pass_time(timedelta(milliseconds=200))
        two.person("bob", active=False)

    sender = two.answering(slowly)

    await two.handle(two.work("ann"), two.work("bob"))

    assert sender.calls == [two.work("ann").delivery_id]
    assert two.state(two.work("bob")) is State.SUPPRESSED
