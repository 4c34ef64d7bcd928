"""The dispatcher on a real Kafka and a real database: what reaches the provider, what stands on the log."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import msgspec
import pytest

from libs.common.domain.channels import Channel, Lane
from libs.common.domain.messages import RetryDelivery, StatusChanged
from libs.common.testing.providers import answers, hangs
from libs.common.testing.waiting import eventually

pytestmark = pytest.mark.integration


async def test_batches_become_mails_and_feed_entries(town):
    people = await town.people("ann", "ben", "cem")
    async with town.dispatcher():
        event = town.event()
        mails = await town.publish(*people, event=event)
        entries = await town.publish(*people, channel=Channel.INAPP, event=event)
        await town.until("SENT", *mails, *entries)

    assert sorted(town.provider.keys) == sorted(mails)
    feed = await asyncio.to_thread(lambda: list(town.database.feed.find()))
    assert {each["subscriber_id"] for each in feed} == set(people)
    headers, body = town.provider.requests[0]
    assert headers["authorization"] == "Bearer key"
    assert body["channel"] == "EMAIL"
    assert (body["subject"], body["body"]) == ("Shipped", "It is on its way")
    statuses = [msgspec.json.decode(each.value, type=StatusChanged) for each in await town.log.read(town.topics.status)]
    assert {each.data.state for each in statuses} == {"SENT"}
    assert len(statuses) == 6


async def test_failures_are_retried_in_time_and_never_early(town):
    """500, 500, 202: three attempts, each at or after its due time, all with one key."""
    await town.people("ann")
    town.provider.script.extend([answers("500 Oops"), answers("500 Oops")])
    async with town.dispatcher():
        [mail] = await town.publish("ann")
        await town.until("SENT", mail)

    found = await town.delivery(mail)
    assert [each["number"] for each in found["attempts"]] == [1, 2, 3]
    assert set(town.provider.keys) == {mail}
    for before, after in pairwise(found["attempts"]):
        assert after["at"] >= before["next_at"]


async def test_used_up_retries_end_in_the_dead_topic(town):
    await town.people("ann")
    town.provider.always = answers("503 Later")
    async with town.dispatcher():
        [mail] = await town.publish("ann")
        await town.until("DEAD", mail)

    [dead] = await town.log.read(town.topics.dead(Channel.EMAIL))
    assert msgspec.json.decode(dead.value, type=RetryDelivery).delivery_id == mail
    assert len(town.provider.keys) == 3


async def test_hundreds_that_wait_are_all_retried_and_none_early(town):
    """The provider refuses each once: if it were down for a time, how many die of it would be a matter of the machine's
    speed."""
    people = await town.people(*(f"person-{number}" for number in range(300)))
    refuse, accept = answers("503 Later"), answers("200 OK", b"{}")

    async def refuse_once(writer):
        first = town.provider.keys.count(town.provider.keys[-1]) == 1
        await (refuse if first else accept)(writer)

    town.provider.always = refuse_once
    async with town.dispatcher():
        mails = [mail for start in range(0, 300, 100) for mail in await town.publish(*people[start : start + 100])]
        await town.until("SENT", *mails, seconds=60)

    assert len(set(town.provider.keys)) == 300

    for mail in mails[::30]:
        attempts = (await town.delivery(mail))["attempts"]
        for before, after in pairwise(attempts):
            assert after["at"] >= before["next_at"]


async def test_reading_everything_again_has_no_second_effect(town):
    """Committed offsets are lost; the group starts from the earliest record."""
    people = await town.people(*(f"person-{number}" for number in range(20)))
    async with town.dispatcher():
        mails = await town.publish(*people)
        await town.until("SENT", *mails)
    assert len(town.provider.keys) == 20

    group = f"{town.topics.prefix}dispatcher.email.standard"
    topic = town.topics.deliveries(Channel.EMAIL, Lane.STANDARD)
    assert sum((await town.log.committed(group, topic)).values()) == 1
    await town.log.rewind(group, topic)
    async with town.dispatcher():
        marker = await town.publish(people[0])
        await town.until("SENT", *marker)
    assert sum((await town.log.committed(group, topic)).values()) == 2

    assert len(town.provider.keys) == 21


async def test_poison_goes_to_the_dead_letters_byte_for_byte_and_the_partition_moves_on(town):
    await town.people("ann")
    topic = town.topics.deliveries(Channel.EMAIL, Lane.STANDARD)
    wrong_channel = msgspec.json.encode({"event": {}, "channel": "SMS"})
    poison = [
        (b"k", b"{not json", [("trace", b"1")]),
        (b"k", b'{"a": 1}', []),
        (b"k", None, []),
        (None, None, []),
        (b"k", b"\xff\xfe", []),
        (b"k", wrong_channel, []),
        (b"k", b"{}", [("bad", b"\xff")]),
        (b"k", b"{}", [("none", None)]),
        (b"k", b"{}", [("bad\udcff", b"1")]),
    ]
    async with town.dispatcher():
        for key, value, headers in poison:
            await town.append(topic, value, key, headers, partition=0)
        await town.append(town.topics.retry(Channel.EMAIL, 1), b"junk", key=b"k", partition=0)
        [mail] = await town.publish("ann")
        await town.until("SENT", mail)

        async def all_buried():
            return len(await town.log.read(town.topics.dead_letters)) == len(poison) + 1

        await eventually(all_buried)

    letters = await town.log.read(town.topics.dead_letters)
    assert Counter((each.key, each.value) for each in letters) == Counter(
        [*((key, value) for key, value, _ in poison), (b"k", b"junk")]
    )
    first = next(each for each in letters if each.value == b"{not json")
    assert ("trace", b"1") in first.headers
    assert dict(first.headers)["sigmora-origin"].decode() == f"{topic}/0/0"


async def test_a_stop_in_the_middle_loses_nothing_and_doubles_nothing(town):
    """As on SIGTERM: what is being sent is finished, what waits is left to the next process."""
    people = await town.people(*(f"person-{number}" for number in range(160)))

    async def slow(writer):
        await asyncio.sleep(0.05)
        await answers("200 OK", b'{"provider_message_id": "m"}')(writer)

    town.provider.always = slow
    mails = [mail for start in range(0, 160, 10) for mail in await town.publish(*people[start : start + 10])]
    async with town.dispatcher():
        await eventually(lambda: len(town.provider.keys) >= 40)
    assert len(town.provider.keys) < 160
    assert "SENDING" not in await town.states(*mails), "nothing may be left to the lease"

    async with town.dispatcher():
        await town.until("SENT", *mails)

    assert sorted(town.provider.keys) == sorted(mails)


async def test_a_second_member_takes_over_its_share_without_doubles(town):
    people = await town.people(*(f"person-{number}" for number in range(200)))

    async def slow(writer):
        await asyncio.sleep(0.02)
        await answers("200 OK", b"{}")(writer)

    town.provider.always = slow
    mails = [mail for start in range(0, 200, 4) for mail in await town.publish(*people[start : start + 4])]
    async with town.dispatcher():
        await eventually(lambda: len(town.provider.keys) >= 20)
        async with town.dispatcher():
            await town.until("SENT", *mails)

    assert sorted(town.provider.keys) == sorted(mails)


async def test_one_hanging_call_holds_up_nobody_else(town):
    people = await town.people("slow", "ann", "ben")
    town.provider.script.append(hangs)
    async with town.dispatcher():
        [hanging] = await town.publish("slow")
        await eventually(lambda: len(town.provider.keys) == 1)
        others = [each for _ in range(5) for each in await town.publish(*people[1:])]
        await town.until("SENT", *others)
        assert await town.states(hanging) in (["SENDING"], ["UNKNOWN"], ["SENT"])
        await town.until("SENT", hanging)
    assert town.provider.keys.count(hanging) == 2, "the call that hung, and the one after its time-out"


async def test_the_unsubscribed_get_nothing(town):
    await town.people("ann", active=False)
    async with town.dispatcher():
        [mail] = await town.publish("ann")
        await town.until("SUPPRESSED", mail)
    assert town.provider.keys == []


async def test_what_expired_on_the_log_is_not_sent(town):
    await town.people("ann")
    async with town.dispatcher():
        [mail] = await town.publish("ann", event=town.event(expiresat=datetime(2020, 1, 1, tzinfo=UTC)))
        await town.until("EXPIRED", mail)
    assert town.provider.keys == []
