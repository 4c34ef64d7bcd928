"""Flow control in the story of a delivery: what is held back costs no attempt, and what is in doubt is asked about."""

from datetime import timedelta

import pytest

from libs.common.domain.breaker import BreakerRules
from libs.common.domain.channels import Channel
from libs.common.domain.outcome import Accepted, NotNow, Refused, Unknown
from libs.common.domain.retry import UnknownPolicy
from libs.common.domain.states import State
from libs.common.testing.senders import QueryableSender, ScriptedSender

DOWN = NotNow("http_503")
QUICK = BreakerRules(threshold=0.5, minimum=4, window=10.0, cool_down=60.0, probes=1)


@pytest.fixture
def down(world):
    """A world whose provider has just failed four times, which opened its breaker for a minute."""
    world.breaker = QUICK
    world.person("ann")
    return world


async def open_the_breaker(world):
    """Four deliveries of other people fail."""
    sender = world.answering(*[DOWN] * 4)
    for number in range(4):
        name = world.person(f"other-{number}")
        await world.handle(world.work(name, world.event(100 + number)))
    assert len(sender.calls) == 4
    return sender


async def test_an_open_breaker_costs_no_attempt_no_claim_and_no_call(down):
    sender = await open_the_breaker(down)
    work = down.work("ann")

    assert await down.handle(work) == [work]

    [retry] = [each for each in down.retries() if each.delivery_id == work.delivery_id]
    assert (retry.attempt, retry.reason) == (1, "breaker_open")
    assert retry.due_at == down.now + timedelta(seconds=30), "the longest tier, since the cool-down is longer still"
    assert work.delivery_id not in down.store.kept, "nobody has to wait for a lease"
    assert len(sender.calls) == 4


async def test_however_often_it_is_put_off_it_does_not_die_of_it(down):
    down.breaker = BreakerRules(0.5, 4, 10.0, 600.0, 1)
    sender = await open_the_breaker(down)
    work = down.work("ann")
    await down.handle(work)

    for _ in range(10):
        await down.handle(down.next_work())
    assert down.retries()[-1].attempt == 1

    down.pass_time(timedelta(seconds=600))
    await down.handle(down.next_work())
    assert down.state(work) is State.SENT
    assert down.kept(work).found.attempt == 1
    assert len(sender.calls) == 5


async def test_what_expires_while_the_breaker_is_open_ends(down):
    await open_the_breaker(down)
    event = down.event(expiresat=down.now + timedelta(seconds=10))
    work = down.work("ann", event)
    await down.handle(work)
    assert work.delivery_id not in down.store.kept

    await down.handle(down.next_work())

    assert down.state(work) is State.EXPIRED


async def test_a_claim_is_given_back_at_once_when_the_breaker_opens_under_it(down):
    """A group is claimed as a whole; the first of it open the breaker for the rest."""
    down.answering(*[DOWN] * 20)
    works = [down.work(down.person(f"p{number}"), down.event(number)) for number in range(40)]

    await down.handle(*works)

    states = [down.kept(work).found for work in works]
    assert {each.state for each in states} == {State.RETRYING}
    assert {each.lease_until for each in states} == {None}
    attempts = {each.attempt for each in states}
    assert attempts == {0, 1}, "those that were called have used an attempt, the others none"


async def test_a_delivery_that_was_put_off_after_its_claim_is_sent_in_its_turn(down):
    down.breaker = BreakerRules(0.5, 4, 10.0, 5.0, 1)
    sender = down.answering(*[DOWN] * 5)
    works = [down.work(down.person(f"p{number}"), down.event(number)) for number in range(20)]

    await down.work_off(*works)

    assert {down.state(work) for work in works} == {State.SENT}
    assert set(sender.effects.values()) == {1}


async def test_half_open_only_as_many_are_claimed_as_may_be_sent(down):
    await open_the_breaker(down)
    down.pass_time(timedelta(seconds=60))
    works = [down.work("ann", down.event(number)) for number in range(10)]

    done = await down.handle(*works)

    assert len(done) == 10
    assert len([work for work in works if work.delivery_id in down.store.kept]) == 1
    assert {each.reason for each in down.retries()[4:]} == {"no_room"}


async def test_a_rate_lets_through_what_it_can_and_puts_off_the_rest(world):
    world.person("ann")
    world.rate = 5.0
    works = [world.work("ann", world.event(number)) for number in range(30)]
    before = world.now

    # Tokens come with time, and time here passes only for whoever waits before the claim.
    room = await world.flow().room(len(works))

    assert room.calls == 10
    assert world.now == before


# failover


async def test_the_attempt_names_the_provider_that_answered_last(world):
    world.person("ann")
    world.answering(DOWN)
    spare = ScriptedSender([Accepted("m2")])
    spare.provider = "spare"
    world.spares = [spare]
    work = world.work("ann")

    await world.handle(work)

    [attempt] = world.kept(work).attempts
    assert attempt.tried.provider == "spare"
    assert attempt.claim.attempt == 1
    assert world.kept(work).provider_message_id == "m2"
    assert spare.calls == world.sender.calls == [work.delivery_id]
    count = world.metrics.registry.get_sample_value
    for provider, answer in [("scripted", "not_now"), ("spare", "accepted")]:
        labels = {"channel": "EMAIL", "provider": provider, "answer": answer}
        assert count("sigmora_attempts_total", labels) == 1


@pytest.mark.parametrize(
    ("spare_says", "state"),
    [
        (NotNow("connect"), State.RETRYING),
        (NotNow("http_429", timedelta(seconds=1)), State.RETRYING),
        (Unknown("timeout"), State.UNKNOWN),
    ],
)
async def test_the_next_attempt_waits_as_long_as_any_provider_asked_for_that_could_not_now(world, spare_says, state):
    """It begins with the first again, whatever its stand-in said after it."""
    world.person("ann")
    world.answering(NotNow("http_429", timedelta(seconds=30)))
    world.spares = [ScriptedSender([spare_says])]

    await world.handle(world.work("ann"))

    [retry] = world.retries()
    assert (retry.due_at, retry.reason) == (world.now + timedelta(seconds=30), spare_says.reason)
    assert world.state() is state


async def test_nobody_stands_in_within_an_attempt_whose_outcome_is_unknown(world):
    world.person("ann")
    world.answering(Unknown("timeout"))
    world.spares = [ScriptedSender()]

    await world.handle(world.work("ann"))

    assert world.spares[0].calls == []
    assert world.state() is State.UNKNOWN


# in doubt


def querying(world, *answers, findings=()):
    world.person("ann")
    world.policy = UnknownPolicy.QUERY
    world.sender = QueryableSender(answers, findings)
    return world.sender


async def test_what_the_provider_has_is_sent_without_another_call(world):
    sender = querying(world, Unknown("timeout"), findings=[Accepted("m1")])

    await world.work_off(world.work("ann"))

    assert world.state() is State.SENT
    assert world.kept().provider_message_id == "m1"
    assert len(sender.calls) == 1
    assert sender.asked == [world.work().delivery_id]


async def test_what_the_provider_has_never_seen_is_sent_again(world):
    sender = querying(world, Unknown("timeout"), findings=[None])

    await world.work_off(world.work("ann"))

    assert world.state() is State.SENT
    assert len(sender.calls) == 2


async def test_what_the_provider_refused_is_undeliverable(world):
    sender = querying(world, Unknown("timeout"), findings=[Refused("rejected")])

    await world.work_off(world.work("ann"))

    assert world.state() is State.UNDELIVERABLE
    assert len(sender.calls) == 1


async def test_a_provider_that_cannot_say_is_asked_again_and_the_delivery_never_dies(world):
    sender = querying(world, Unknown("timeout"), findings=[Unknown("http_500")] * 9)

    await world.work_off(world.work("ann"))

    assert world.state() is State.UNKNOWN
    assert len(sender.calls) == 1
    assert len(sender.asked) == 2, "before each of the two tries that are left"
    assert world.log.of(world.topics.dead(Channel.EMAIL)) == []


async def test_after_a_plain_failure_nothing_is_asked(world):
    sender = querying(world, DOWN)

    await world.work_off(world.work("ann"))

    assert sender.asked == []
    assert world.state() is State.SENT


async def test_a_delivery_that_a_crash_left_in_doubt_is_asked_about_after_its_lease(world):
    sender = querying(world, Unknown("x"), findings=[Accepted("m1")])
    work = world.work("ann")
    await world.dispatcher().prepare([work], lambda _: None)
    world.pass_time(timedelta(minutes=1))

    await world.handle(work)

    assert world.state(work) is State.SENT
    assert sender.calls == []


async def test_a_provider_that_cannot_be_asked_makes_the_delivery_wait_for_a_receipt(world):
    world.person("ann")
    world.policy = UnknownPolicy.QUERY
    sender = world.answering(Unknown("timeout"))

    await world.work_off(world.work("ann"))

    assert world.state() is State.UNKNOWN
    assert world.retries() == []
    assert len(sender.calls) == 1


async def test_what_is_in_doubt_stays_in_doubt_while_it_is_put_off(down):
    """The breaker opens between the look at it and the call."""
    down.sender = sender = ScriptedSender([Unknown("timeout"), *[DOWN] * 40])
    work = down.work("ann")
    await down.handle(work)
    assert down.state(work) is State.UNKNOWN
    doubtful = down.next_work()
    down.pass_time(timedelta(seconds=30))
    others = [down.work(down.person(f"p{number}"), down.event(10 + number)) for number in range(30)]

    await down.handle(*others, doubtful)

    assert sender.calls.count(work.delivery_id) == 1
    assert down.state(work) is State.UNKNOWN
    assert down.kept(work).found.attempt == 1
