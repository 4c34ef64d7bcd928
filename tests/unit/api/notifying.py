"""A direct notification as a client asks for it, and what came of it. Knows the API and the fakes behind it."""

from typing import Any

import msgspec

from libs.common.domain import keys
from libs.common.domain.channels import Channel
from libs.common.domain.messages import Event, StatusChanged
from libs.common.domain.notifications import KeptAttempt, KeptDelivery
from libs.common.domain.states import State
from libs.common.domain.templates import DEFAULT_LOCALE, Template, Variant

World = Any
BODY = {"user_id": "u1", "template_id": "greeting", "channels": ["EMAIL"], "variables": {"order": 7}}


async def publish(world: World, version: int, text: str, locale: str = DEFAULT_LOCALE) -> None:
    """A version of the template, for e-mail and push."""
    variants = tuple(
        Variant(channel=channel, locale=locale, subject="Hi", text=text) for channel in (Channel.EMAIL, Channel.PUSH)
    )
    await world.templates.add(
        Template(
            tenant="acme",
            template_id="greeting",
            version=version,
            published=True,
            variants=variants,
            created_at=world.now,
            updated_at=world.now,
        )
    )


async def notify(world: World, body: Any = None, **headers: str) -> Any:
    """`POST /notifications`."""
    return await world.client.post("/notifications", json=body or BODY, headers={**world.key, **headers})


async def status(world: World, notification: str) -> Any:
    """`GET /notifications/{id}`."""
    answer = await world.client.get(f"/notifications/{notification}", headers=world.key)
    assert answer.status_code == 200, answer.text
    return answer.json()


def events(world: World) -> list[Event]:
    """What is on the log of events."""
    return [msgspec.json.decode(r.value, type=Event) for r in world.log.records if ".events." in r.topic]


def statuses(world: World) -> list[StatusChanged]:
    """What is on the log of states."""
    return [msgspec.json.decode(r.value, type=StatusChanged) for r in world.log.records if r.topic.endswith("status")]


async def deliver(
    world: World, accepted: Any, channel: Channel = Channel.EMAIL, state: State = State.SENT, endpoint: str = "main"
) -> KeptDelivery:
    """What the dispatcher would have written."""
    event = accepted["event_id"]
    delivery = KeptDelivery(
        id=keys.delivery_id(event, "u1", channel, endpoint),
        tenant="acme",
        event_id=event,
        notification_id=accepted["id"],
        subscriber_id="u1",
        channel=channel,
        endpoint=endpoint,
        state=state,
        attempt=1,
        attempts=(KeptAttempt(number=1, at=world.now, provider="http", latency_ms=3.0, answer="accepted"),),
        provider_message_id=f"m-{channel}-{endpoint}",
        created_at=world.now,
        updated_at=world.now,
    )
    world.notifications.kept[delivery.id] = delivery
    return delivery


async def with_a_user(world: World) -> World:
    """A tenant with a user and a template that needs one variable."""
    user = {"id": "u1", "name": "Ada", "email": "ada@example.com", "push_tokens": [{"endpoint": "a", "token": "t"}]}
    assert (await world.client.post("/v1/subscribers", json=user, headers=world.key)).status_code == 201
    await publish(world, 1, "Hello {{ name }}, order {{ order }}")
    world.log.records.clear()
    return world
