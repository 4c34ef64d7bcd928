"""An operator decides about what nobody could tell, on fakes."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from libs.common.domain import keys
from libs.common.domain.api_keys import Scope
from libs.common.domain.channels import Channel
from libs.common.domain.messages import Event, RetryDelivery
from libs.common.domain.notifications import KeptDelivery
from libs.common.domain.states import State

World = Any


def parked(world: World, state: State = State.UNKNOWN) -> str:
    """A delivery after its second attempt, and its event."""
    event = Event(id="1", source="/s", time=world.now, tenant="acme", eventid=keys.event_id("acme", "/s", "1"))
    world.logged.kept["acme", event.eventid] = event
    delivery = KeptDelivery(
        id=keys.delivery_id(event.eventid, "ada", Channel.SMS, "main"),
        tenant="acme",
        event_id=event.eventid,
        notification_id="n",
        subscriber_id="ada",
        channel=Channel.SMS,
        state=state,
        attempt=2,
        created_at=world.now,
        updated_at=world.now,
    )
    world.notifications.kept[delivery.id] = delivery
    return delivery.id


async def resolve(world: World, delivery: str, state: str, key: str | None = None) -> Any:
    """`POST /v1/deliveries/{id}/resolve`."""
    headers = {"X-API-Key": key} if key else world.key
    body = {"state": state, "reason": "the provider's console says so"}
    return await world.client.post(f"/v1/deliveries/{delivery}/resolve", json=body, headers=headers)


@pytest.mark.parametrize("state", ["SENT", "UNDELIVERABLE"])
async def test_what_an_operator_found_out_is_the_state(world: World, state: str) -> None:
    delivery = parked(world)

    answer = await resolve(world, delivery, state)

    assert (answer.status_code, answer.json()["state"], answer.json()["reason"]) == (200, state, "resolved_by_operator")
    assert answer.json()["detail"] == "the provider's console says so"
    assert [record.topic for record in world.log.records] == ["sigmora.status"]
    assert (await resolve(world, delivery, state)).status_code == 409


async def test_another_attempt_goes_by_way_of_the_first_tier(world: World) -> None:
    delivery = parked(world)

    answer = await resolve(world, delivery, "RETRY")

    assert (answer.status_code, answer.json()["state"]) == (200, "RETRYING")
    retry, status = world.log.records
    assert (retry.topic, status.topic) == ("sigmora.deliveries.sms.retry.1", "sigmora.status")
    value = msgspec.json.decode(retry.value, type=RetryDelivery)
    assert (value.delivery_id, value.attempt, value.endpoint) == (delivery, 3, "main")
    assert value.due_at == world.now + timedelta(seconds=5)


async def test_without_the_event_there_is_no_other_attempt(world: World) -> None:
    delivery = parked(world)
    world.logged.kept.clear()

    assert (await resolve(world, delivery, "RETRY")).status_code == 409
    assert world.notifications.kept[delivery].state is State.UNKNOWN


async def test_no_state_promises_an_attempt_that_is_not_on_the_log(world: World) -> None:
    delivery = parked(world)
    world.log.away = True

    assert (await resolve(world, delivery, "RETRY")).status_code == 503
    assert world.notifications.kept[delivery].state is State.UNKNOWN


@pytest.mark.parametrize("state", sorted(set(State) - {State.UNKNOWN}))
async def test_only_what_is_unknown_can_be_resolved(world: World, state: State) -> None:
    delivery = parked(world, state)

    answers = [await resolve(world, delivery, each) for each in ("SENT", "UNDELIVERABLE", "RETRY")]

    assert [(answer.status_code, answer.json()["state"]) for answer in answers] == [(409, state)] * 3
    assert world.log.records == []


async def test_an_operator_of_the_tenant_decides_and_nobody_else(world: World) -> None:
    delivery = parked(world)
    other = await world.api_keys.create("other", "o", [Scope.OPERATIONS], world.now)
    sender = await world.api_keys.create("acme", "n", [Scope.NOTIFICATIONS], world.now)

    codes = [(await resolve(world, delivery, "SENT", key)).status_code for key in (other, sender)]
    codes.append((await world.client.get(f"/v1/deliveries/{delivery}", headers={"X-API-Key": other})).status_code)

    assert codes == [404, 403, 404]
    assert (await resolve(world, delivery, "MAYBE")).status_code == 400
    assert (await world.client.get(f"/v1/deliveries/{delivery}", headers=world.key)).json()["state"] == "UNKNOWN"
