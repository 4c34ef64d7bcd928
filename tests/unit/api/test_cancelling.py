"""Notifications on fakes: withdrawn while nothing can have been sent."""

from datetime import datetime, timedelta

import pytest

from libs.common.domain import keys
from libs.common.domain.channels import Channel
from libs.common.domain.notifications import Decided, Held, KeptDelivery
from libs.common.domain.states import State
from tests.unit.api.notifying import BODY, World, deliver, notify, status, statuses, with_a_user


@pytest.fixture
async def acme(world: World) -> World:
    return await with_a_user(world)


async def test_what_nobody_has_claimed_is_cancelled_before_anybody_can(acme: World) -> None:
    """The claim is an insert: whoever comes later finds it taken, on every endpoint."""
    accepted = (await notify(acme, {**BODY, "channels": ["EMAIL", "PUSH", "WEBHOOK"]})).json()
    hooks = {"webhooks": [{"endpoint": "crm", "url": "https://example.com"}]}
    await acme.client.patch("/users/u1", json=hooks, headers=acme.key)
    acme.log.records.clear()
    await hold(acme, accepted["event_id"], Channel.EMAIL)

    answer = await acme.client.post(f"/v1/notifications/{accepted['id']}/cancel", headers=acme.key)

    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")
    wanted = {(Channel.EMAIL, "main"), (Channel.PUSH, "a"), (Channel.WEBHOOK, "crm")}
    ids = {keys.delivery_id(accepted["event_id"], "u1", channel, endpoint) for channel, endpoint in wanted}
    assert set(acme.notifications.kept) == ids
    assert {change.data.delivery_id for change in statuses(acme)} == ids
    assert acme.notifications.holds == set()


async def hold(
    world: World,
    event_id: str,
    channel: Channel,
    due_at: datetime | None = None,
    tenant: str = "acme",
    subscriber: str = "u1",
) -> str:
    """What the router would have decided and held; the notification's id. `due_at` when it was put off since."""
    opens = world.now + timedelta(hours=1)
    notification = keys.notification_id(event_id, subscriber)
    found = await world.subscribers.find(tenant, subscriber)
    decided = world.notifications.decisions.setdefault((tenant, event_id), {}).setdefault(found.ordinal, [])
    decided.append(Decided(outcome="HOLD", reason="window_closed", channel=channel, due_at=opens))
    world.notifications.holds.add(
        Held(
            tenant=tenant,
            event_id=event_id,
            notification_id=notification,
            subscriber_id=subscriber,
            channel=channel,
            due_at=due_at or opens,
            created_at=world.now,
        )
    )
    return notification


async def test_what_is_held_of_an_event_that_named_nobody_is_seen_and_withdrawn(acme: World) -> None:
    """It was not found, since it had neither a claim nor a delivery before it was released."""
    event = keys.event_id("acme", "/shop", "1")
    later = acme.now + timedelta(days=1)
    notification = await hold(acme, event, Channel.EMAIL)
    await hold(acme, event, Channel.PUSH, later)
    seen = await status(acme, notification)

    answer = await acme.client.post(f"/v1/notifications/{notification}/cancel", headers=acme.key)

    assert (seen["status"], seen["event_id"], seen["user_id"]) == ("HELD", event, "u1")
    assert {name: (channel["status"], channel["reason"]) for name, channel in seen["channels"].items()} == {
        "EMAIL": ("HELD", "window_closed"),
        "PUSH": ("HELD", "window_closed"),
    }
    assert datetime.fromisoformat(seen["channels"]["PUSH"]["due_at"]) == later
    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")
    ids = {keys.delivery_id(event, "u1", *place) for place in ((Channel.EMAIL, "main"), (Channel.PUSH, "a"))}
    assert set(acme.notifications.kept) == ids  # where the dispatcher finds them claimed
    assert {each.channel for each in acme.notifications.holds} == {Channel.EMAIL, Channel.PUSH}  # others are in them
    assert (await status(acme, notification))["status"] == "CANCELLED"


async def test_a_hold_that_is_due_and_not_released_yet_is_still_held(acme: World) -> None:
    notification = await hold(acme, keys.event_id("acme", "/shop", "1"), Channel.EMAIL)
    acme.pass_time(7_200)

    assert (await status(acme, notification))["status"] == "HELD"


async def test_a_person_withdraws_their_own_and_nobody_elses(acme: World) -> None:
    me, neighbour = await acme.person(), await acme.person("eve@example.com")
    account = await acme.accounts.find("default", "ada@example.com")
    event = keys.event_id("default", "/shop", "1")
    notification = await hold(acme, event, Channel.EMAIL, tenant="default", subscriber=account.subscriber_id)
    path = f"/v1/notifications/{notification}/cancel"

    answers = [await acme.client.post(path, headers=who) for who in (neighbour, acme.key, me, me)]

    assert [answer.status_code for answer in answers] == [404, 404, 200, 200]
    assert (await acme.client.get(f"/notifications/{notification}", headers=me)).json()["status"] == "CANCELLED"


@pytest.mark.parametrize("state", list(State))
async def test_only_what_was_surely_not_sent_can_be_cancelled(acme: World, state: State) -> None:
    accepted = (await notify(acme)).json()
    delivery = await deliver(acme, accepted, state=state)
    path = f"/v1/notifications/{accepted['id']}/cancel"

    answer = await acme.client.post(path, headers=acme.key)

    if state in (State.QUEUED, State.HELD, State.RETRYING, State.CANCELLED):
        assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")
        assert (await acme.client.post(path, headers=acme.key)).status_code == 200
    else:
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/state")
        assert answer.json()["channels"] == {"EMAIL": state}
        assert acme.notifications.kept[delivery.id].state is state


@pytest.mark.parametrize(("state", "code"), [(State.SENDING, 409), (State.SENT, 409), (State.RETRYING, 200)])
async def test_what_the_dispatcher_claims_meanwhile_is_its_own(
    acme: World, monkeypatch: pytest.MonkeyPatch, state: State, code: int
) -> None:
    """It was looked for, not found, and claimed before it could be cancelled: nothing is said of it that is not so."""
    accepted = (await notify(acme)).json()
    read, seen = acme.notifications.deliveries, []

    async def late(notification_id: str, tenant: str | None = None) -> list[KeptDelivery]:
        seen.append(await read(notification_id, tenant))
        if len(seen) == 1:
            await deliver(acme, accepted, state=state)
        return seen[-1]

    monkeypatch.setattr(acme.notifications, "deliveries", late)

    answer = await acme.client.post(f"/v1/notifications/{accepted['id']}/cancel", headers=acme.key)

    assert answer.status_code == code
    assert len(statuses(acme)) == (1 if code == 200 else 0)
    assert (await status(acme, accepted["id"]))["status"] == ("CANCELLED" if code == 200 else state)


@pytest.mark.parametrize("first", [State.RETRYING, State.SENT])
async def test_an_endpoint_whose_delivery_was_put_off_before_it_was_claimed_is_cancelled_too(
    acme: World, first: State
) -> None:
    """One device had a delivery, the other only a record to come: it was sent after an acknowledged cancellation."""
    devices = [{"endpoint": name, "token": f"token-{name}"} for name in ("a", "b")]
    await acme.client.patch("/users/u1", json={"push_tokens": devices}, headers=acme.key)
    accepted = (await notify(acme, {**BODY, "channels": ["PUSH"]})).json()
    await deliver(acme, accepted, Channel.PUSH, first, "a")

    answer = await acme.client.post(f"/v1/notifications/{accepted['id']}/cancel", headers=acme.key)

    assert answer.status_code == 200
    states = {each.endpoint: each.state for each in acme.notifications.kept.values()}
    assert states == {"a": State.SENT if first is State.SENT else State.CANCELLED, "b": State.CANCELLED}
