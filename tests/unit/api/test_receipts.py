"""What providers say of messages, on fakes: by token only, in any order, any number of times."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from litestar.testing import AsyncTestClient

from libs.common.domain.channels import Channel
from libs.common.domain.messages import StatusChanged
from libs.common.domain.notifications import KeptDelivery
from libs.common.domain.states import State
from libs.common.domain.suppressions import address_key

World = Any
TOKEN = {"X-Provider-Token": "a-token-that-both-know"}


@pytest.fixture
async def client(world: World) -> Any:
    """An API that takes receipts, and a person with an e-mail address and two devices."""
    devices = [{"endpoint": name, "token": f"token-{name}"} for name in ("a", "b")]
    person = {"id": "ada", "email": "ada@example.com", "phone": "+491701234567", "push_tokens": devices}
    assert (await world.client.post("/v1/subscribers", json=person, headers=world.key)).status_code == 201
    world.log.records.clear()
    async with AsyncTestClient(world.app(provider_callback_token=TOKEN["X-Provider-Token"])) as found:
        yield found


def kept(world: World, state: State = State.SENT, channel: Channel = Channel.EMAIL, endpoint: str = "main") -> str:
    """A delivery of the notification `n`."""
    delivery = KeptDelivery(
        id=f"{channel}-{endpoint}",
        tenant="acme",
        event_id="e",
        notification_id="n",
        subscriber_id="ada",
        channel=channel,
        endpoint=endpoint,
        state=state,
        attempt=1,
        provider_message_id=f"m-{channel}-{endpoint}",
        created_at=world.now,
        updated_at=world.now,
    )
    world.notifications.kept[delivery.id] = delivery
    return delivery.id


async def say(client: Any, status: str, channel: str = "EMAIL", notification: str = "n", **more: Any) -> Any:
    """A receipt."""
    body = {"channel": channel, "status": status, **more}
    return await client.post(f"/notifications/{notification}/receipt", json=body, headers=TOKEN)


def suppressed(world: World) -> set[str]:
    """Which of the person's addresses are suppressed."""
    places = {Channel.EMAIL: "ada@example.com", Channel.SMS: "+491701234567"}
    return {at for channel, at in places.items() if address_key("acme", channel, at) in world.suppressions.kept}


def told(world: World) -> list[tuple[str, str]]:
    """The states that the log was told of."""
    found = [msgspec.json.decode(record.value, type=StatusChanged) for record in world.log.records]
    return [(change.data.delivery_id, change.data.state) for change in found]


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        ("DELIVERED", "DELIVERED", ""),
        ("BOUNCED", "UNDELIVERABLE", "bounced"),
        ("COMPLAINED", "UNDELIVERABLE", "complained"),
    ],
)
async def test_a_receipt_moves_a_delivery_on(world: World, client: Any, status: str, state: str, reason: str) -> None:
    delivery = kept(world)

    answer = await say(client, status, reason="mailbox\r\nfull " + "x" * 600)

    assert (answer.status_code, answer.json()) == (200, {"applied": True})
    found = world.notifications.kept[delivery]
    assert (found.state, found.reason) == (state, reason)
    assert found.detail.startswith("mailbox full x")
    assert len(found.detail) == 500
    assert told(world) == [(delivery, state)]


@pytest.mark.parametrize("status", ["BOUNCED", "COMPLAINED"])
async def test_an_address_that_bounced_or_complained_is_suppressed(world: World, client: Any, status: str) -> None:
    kept(world)
    kept(world, channel=Channel.SMS)

    await say(client, status)

    assert suppressed(world) == {"ada@example.com"}


async def test_a_receipt_in_a_providers_own_spelling_is_taken(world: World, client: Any) -> None:
    """One that is refused is lost."""
    delivery = kept(world)

    answer = await say(client, "delivered", channel="email", reason=None, provider_message_id=None, attempt=3)

    assert (answer.status_code, answer.json()) == (200, {"applied": True})
    assert world.notifications.kept[delivery].state is State.DELIVERED


async def test_an_address_that_was_corrected_since_is_not_blamed(world: World, client: Any) -> None:
    kept(world)
    world.pass_time(1)
    await world.client.patch("/v1/subscribers/ada", json={"email": "right@example.com"}, headers=world.key)

    assert (await say(client, "BOUNCED")).json() == {"applied": True}

    assert world.suppressions.kept == {}


async def test_a_complaint_counts_also_after_the_message_was_read(world: World, client: Any) -> None:
    delivery = kept(world, State.READ)

    assert (await say(client, "COMPLAINED")).json() == {"applied": False}

    assert world.notifications.kept[delivery].state is State.READ
    assert suppressed(world) == {"ada@example.com"}


async def test_a_repetition_changes_nothing_and_is_told_again(world: World, client: Any) -> None:
    """The log may not have answered the first time; readers know the repetition by its id."""
    delivery = kept(world)
    world.log.away = True
    refused = await say(client, "DELIVERED")
    world.log.away = False
    world.pass_time(60)
    again = await say(client, "DELIVERED")

    assert (refused.status_code, again.status_code, again.json()) == (503, 200, {"applied": False})
    assert told(world) == [(delivery, "DELIVERED")]
    assert world.notifications.kept[delivery].updated_at == world.now - timedelta(seconds=60)


async def test_a_late_delivered_does_not_undo_a_bounce(world: World, client: Any) -> None:
    delivery = kept(world)

    answers = [await say(client, status) for status in ("BOUNCED", "DELIVERED")]

    assert [answer.json()["applied"] for answer in answers] == [True, False]
    assert world.notifications.kept[delivery].state is State.UNDELIVERABLE


async def test_a_receipt_settles_what_nobody_could_tell(world: World, client: Any) -> None:
    delivery = kept(world, State.UNKNOWN)

    await say(client, "DELIVERED")

    assert world.notifications.kept[delivery].state is State.DELIVERED


async def test_a_receipt_is_for_its_own_channel_and_device(world: World, client: Any) -> None:
    email, a, b = (
        kept(world),
        kept(world, channel=Channel.PUSH, endpoint="a"),
        kept(world, channel=Channel.PUSH, endpoint="b"),
    )

    await say(client, "BOUNCED", "PUSH", provider_message_id="m-PUSH-b")
    stranger = await say(client, "DELIVERED", "PUSH", provider_message_id="somebody else's")

    states = {each: world.notifications.kept[each].state for each in (email, a, b)}
    assert states == {email: State.SENT, a: State.SENT, b: State.UNDELIVERABLE}
    assert world.endpoints.retired == [("acme", "ada", Channel.PUSH, "b", "token-b", "bounced")]
    assert suppressed(world) == set()
    assert stranger.json() == {"applied": False}


async def test_what_nobody_knows_is_no_reason_to_try_again(client: Any) -> None:
    answer = await say(client, "DELIVERED", notification="../unknown")
    known = await say(client, "DELIVERED", notification="unknown")

    assert answer.status_code == 404  # no such route
    assert (known.status_code, known.json()) == (200, {"applied": False})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"channel":"EMAIL"}',
        b'{"channel":"FAX","status":"DELIVERED"}',
        b'{"channel":"EMAIL","status":"SENT"}',
    ],
)
async def test_what_is_no_receipt_is_refused(client: Any, body: bytes) -> None:
    answer = await client.post("/notifications/n/receipt", content=body, headers=TOKEN)

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Provider-Token": ""}, {"X-Provider-Token": "wrong"}, {"Authorization": "Bearer a-token-that-both-know"}],
)
async def test_without_the_token_nothing_is_taken(world: World, client: Any, headers: dict[str, str]) -> None:
    """Nor is anything told: a body that is no receipt is refused the same way."""
    delivery = kept(world)
    body = {"channel": "EMAIL", "status": "BOUNCED"}

    answers = [await client.post("/notifications/n/receipt", json=each, headers=headers) for each in (body, {})]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert world.notifications.kept[delivery].state is State.SENT


async def test_without_a_token_set_receipts_are_taken_in_development_only(world: World) -> None:
    kept(world)
    async with AsyncTestClient(world.app()) as closed, AsyncTestClient(world.app(env="dev")) as developers:
        refused = await say(closed, "DELIVERED")
        taken = await developers.post("/notifications/n/receipt", json={"channel": "EMAIL", "status": "DELIVERED"})

    assert (refused.status_code, taken.status_code) == (401, 200)
