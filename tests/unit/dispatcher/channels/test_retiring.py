"""What becomes of an endpoint that its provider calls gone."""

import pytest

from libs.common.domain.channels import Channel
from libs.common.domain.consent import Recipient
from libs.common.domain.deliveries import Work
from libs.common.domain.keys import delivery_id
from libs.common.domain.outcome import Accepted, NotNow, Refused, Unknown
from libs.common.domain.states import State
from libs.common.testing.endpoints import MemoryEndpoints
from libs.common.testing.senders import ScriptedSender
from services.dispatcher.channels.base import Choice
from services.dispatcher.channels.retiring import Retiring

GONE = Refused("unregistered", endpoint_gone=True)


@pytest.fixture
def endpoints():
    return MemoryEndpoints()


@pytest.fixture
def work(world):
    """A push notification to ann's phone."""
    world.channel = Channel.PUSH
    world.recipients.people["acme", "ann"] = Recipient(active=True, addresses={(Channel.PUSH, "phone"): "t0ken"})
    event = world.event()
    delivery = delivery_id(event.eventid, "ann", Channel.PUSH, "phone")
    return Work(event, Channel.PUSH, "ann", delivery, "phone")


async def test_an_endpoint_that_is_gone_is_retired_and_its_delivery_ends(world, work, endpoints):
    world.sender = Retiring(ScriptedSender([GONE]), endpoints)

    await world.handle(work)

    assert endpoints.retired == [("acme", "ann", Channel.PUSH, "phone", "t0ken", "unregistered")]
    assert (world.state(work), world.kept(work).reason) == (State.UNDELIVERABLE, "unregistered")


@pytest.mark.parametrize("outcome", [Accepted(), Refused("http_400"), NotNow("http_503"), Unknown("timeout")])
async def test_any_other_outcome_retires_nothing(world, work, endpoints, outcome):
    world.sender = Retiring(ScriptedSender([outcome]), endpoints)
    await world.handle(work)
    assert endpoints.retired == []


async def test_a_database_that_is_away_does_not_hold_up_the_delivery(world, work, endpoints):
    endpoints.away = True
    world.sender = Retiring(ScriptedSender([GONE]), endpoints)
    await world.handle(work)
    assert world.state(work) is State.UNDELIVERABLE


async def test_the_attempt_names_the_provider_that_was_chosen(world, work):
    browsers, phones = ScriptedSender(), ScriptedSender()
    browsers.provider, phones.provider = "webpush", "fcm"
    world.sender = Choice("fcm+webpush", lambda message: browsers if message.to == "{}" else phones)

    await world.handle(work)

    assert [each.tried.provider for each in world.kept(work).attempts] == ["fcm"]
    assert (len(browsers.calls), len(phones.calls)) == (0, 1)
