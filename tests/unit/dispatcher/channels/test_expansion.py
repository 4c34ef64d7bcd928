"""Which deliveries a batch stands for on channels where people have several endpoints."""

import asyncio

import msgspec
import pytest
from aiokafka import TopicPartition

from libs.common.domain import keys
from libs.common.domain.channels import EVERY_ENDPOINT, Channel
from libs.common.domain.consent import Recipient
from libs.common.domain.deliveries import Lease
from libs.common.domain.errors import Poison
from libs.common.domain.inflight import Tracker
from libs.common.domain.messages import DeliveryBatch
from libs.common.domain.states import State
from libs.common.ports import Received
from services.dispatcher.entries import Entry, WorkGroup
from services.dispatcher.expansion import Expander, for_each
from services.dispatcher.patience import Patience
from services.dispatcher.reading import read_batch, read_retry
from services.dispatcher.records import retry_of


@pytest.fixture
def push(world):
    world.channel = Channel.PUSH
    return world


@pytest.fixture
def batch(push):
    """Reads a batch of push notifications."""

    def read(*subscribers, generation=0, channel=Channel.PUSH):
        value = DeliveryBatch(event=push.event(), channel=channel, subscribers=subscribers, generation=generation)
        return read_batch(msgspec.json.encode(value), (), channel)

    return read


@pytest.fixture
def expand(push):
    expander = Expander(push.recipients, push.store, Patience(lambda _: asyncio.sleep(0)))
    return expander.expand


def devices(world, name, *endpoints):
    places = {(Channel.PUSH, endpoint): f"token-{endpoint}" for endpoint in endpoints}
    mail = {(Channel.EMAIL, "main"): "ann@example.org"}
    world.recipients.people["acme", name] = Recipient(active=True, addresses=places | mail)


def lease_of(world):
    return Lease("us", world.now, world.now)


def endpoints(expanded):
    return [[work.endpoint for work in several] for several in expanded]


async def test_one_delivery_for_each_endpoint_with_an_id_of_its_own(push, batch, expand):
    devices(push, "ann", "tablet", "phone")
    devices(push, "ben", "phone")

    expanded = await expand(batch("ann", "ben"))

    assert endpoints(expanded) == [["phone", "tablet"], ["phone"]]
    event = push.event().eventid
    assert [work.delivery_id for work in expanded[0]] == [
        keys.delivery_id(event, "ann", Channel.PUSH, each) for each in ("phone", "tablet")
    ]


async def test_a_batch_read_again_has_the_same_ids(push, batch, expand):
    devices(push, "ann", "tablet", "phone")
    assert await expand(batch("ann")) == await expand(batch("ann"))


async def test_another_generation_has_other_ids(push, batch, expand):
    devices(push, "ann", "phone")
    [[first]], [[forced]] = await expand(batch("ann")), await expand(batch("ann", generation=1))
    assert first.delivery_id != forced.delivery_id


async def test_nobody_to_reach_is_one_delivery_that_ends(push, batch, expand):
    devices(push, "ann")
    [[work]] = await expand(batch("ann"))
    assert work.endpoint == "main"

    await push.handle(work)

    assert push.state(work) is State.UNDELIVERABLE
    assert push.kept(work).reason == "no_address"


async def test_somebody_unknown_is_one_delivery_that_ends(push, batch, expand):
    [[work]] = await expand(batch("nobody"))
    await push.handle(work)
    assert push.state(work) is State.SUPPRESSED


async def test_an_endpoint_taken_away_since_is_among_them_if_its_delivery_was_begun(push, batch, expand):
    """A crash left its delivery in SENDING: nobody else would bring it to its end."""
    devices(push, "ann", "phone", "tablet")
    [begun] = await expand(batch("ann"))
    await push.store.insert([(work, lease_of(push)) for work in begun])
    devices(push, "ann", "phone")

    [works] = await expand(batch("ann"))
    push.pass_time(push.dispatcher()._rules.lease)
    await push.handle(*works)

    assert endpoints([works]) == [["phone", "tablet"]]
    phone, tablet = works
    assert push.state(phone) is State.SENT
    assert (push.state(tablet), push.kept(tablet).reason) == (State.UNDELIVERABLE, "no_address")


async def test_what_was_begun_in_another_generation_or_channel_is_not_among_them(push, batch, expand):
    devices(push, "ann", "phone", "tablet")
    [begun] = await expand(batch("ann", generation=1))
    await push.store.insert([(work, lease_of(push)) for work in begun])
    await push.store.insert([(push.work("ann"), lease_of(push))])
    devices(push, "ann", "phone")
    assert endpoints(await expand(batch("ann", generation=2))) == [["phone"]]


async def test_a_delivery_that_names_its_endpoint_is_left_as_it_is_and_costs_no_read(push, batch, expand):
    devices(push, "ann", "phone", "tablet")
    [works] = await expand(batch("ann"))
    push.recipients.away = push.store.away = True
    assert await expand(works) == [(work,) for work in works]


async def test_a_store_that_is_away_is_waited_for(push, batch, expand):
    devices(push, "ann", "phone")
    push.recipients.away = True
    waiting = asyncio.create_task(expand(batch("ann")))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    push.recipients.away = False
    assert endpoints(await waiting) == [["phone"]]


def test_endpoints_are_counted_once_and_in_order(push, batch):
    [work] = batch("ann")
    assert work.endpoint == EVERY_ENDPOINT
    assert [each.endpoint for each in for_each(work, ["b", "a", "b"])] == ["a", "b"]


@pytest.mark.parametrize(
    ("channel", "endpoint"), [(Channel.EMAIL, "main"), (Channel.SMS, "main"), (Channel.WEBHOOK, EVERY_ENDPOINT)]
)
def test_only_some_channels_have_several_endpoints(batch, channel, endpoint):
    assert batch("ann", channel=channel)[0].endpoint == endpoint


def test_a_retry_names_its_endpoint(push, batch):
    [work] = batch("ann")
    [phone] = for_each(work, ["phone"])
    retry = retry_of(phone, 2, push.now, push.now, "http_503")
    assert read_retry(msgspec.json.encode(retry), (), Channel.PUSH)[0].endpoint == "phone"
    with pytest.raises(Poison, match="one endpoint"):
        read_retry(msgspec.json.encode(retry_of(work, 2, push.now, push.now, "")), (), Channel.PUSH)


def test_a_record_is_done_when_all_endpoints_are(push, batch):
    finished = []
    partition = TopicPartition("t", 0)
    record = Received("t", 0, 0, b"", b"", (), 0)
    entries = [
        Entry(Tracker().register(partition, number), record, batch(*names))
        for number, names in enumerate([("ann", "ben"), ("cem",)])
    ]
    group = WorkGroup(entries, finished.append, lambda: None)
    several = [for_each(work, ["phone", "tablet"]) for work in group.works]

    assert group.expand(several) == 3
    assert [work.endpoint for work in group.works] == ["phone", "tablet"] * 3
    for work in group.works[:3]:
        group.done(work)
    assert finished == []
    assert [len(entry.works) for entry in group.unfinished()] == [1, 2]
    group.done(group.works[0])
    assert finished == entries[:1]
