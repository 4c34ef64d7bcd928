"""People subscribe, log in, say what they want, and leave."""

import asyncio
from typing import Any

import msgspec
import pytest

from libs.common.domain.messages import SubscriberChanged

World = Any

PREFERENCES = {"topic": ["tech"], "priority": ["high"], "category": ["update"], "release_time": []}


def told(world: World) -> list[SubscriberChanged]:
    """What routers were told, in order."""
    return [
        msgspec.json.decode(record.value, type=SubscriberChanged)
        for record in world.log.of("sigmora.subscriptions")
        if record.value is not None
    ]


async def test_somebody_subscribes_and_the_log_hears_of_it(world: World) -> None:
    answer = await world.subscribe(subscribed=True, preferences=PREFERENCES)

    assert (answer.status_code, answer.json()) == (200, {"message": "Subscribed successfully"})
    [changed] = told(world)
    assert changed.active
    assert changed.subscriptions[0].pattern == {
        "topic": ["tech", {"prefix": "tech/"}],
        "priority": ["high"],
        "category": ["update"],
    }
    assert changed.subscriptions[0].channels == ("EMAIL", "INAPP")
    assert (await world.client.get("/stats")).json() == {"subscribers": 1}


async def test_the_log_hears_of_no_address(world: World) -> None:
    await world.subscribe("ada@example.com")

    assert all(b"ada@example.com" not in (r.value or b"") + (r.key or b"") for r in world.log.records)


async def test_preferences_that_name_nothing_match_every_event(world: World) -> None:
    await world.subscribe(preferences={"topic": [], "priority": [], "category": [], "release_time": []})

    assert told(world)[0].subscriptions[0].pattern is None


async def test_who_does_not_want_anything_yet_is_not_active(world: World) -> None:
    await world.subscribe(subscribed=False)

    assert not told(world)[0].active
    assert (await world.client.get("/stats")).json() == {"subscribers": 0}


async def test_a_known_address_with_its_password_subscribes_again(world: World) -> None:
    """There is a way back from /unsubscribe, and it takes the preferences along."""
    me = await world.person()
    await world.client.post("/unsubscribe", headers=me)

    answer = await world.subscribe(preferences=PREFERENCES)

    assert answer.status_code == 200
    assert [changed.active for changed in told(world)] == [True, False, True]
    assert (await world.client.get("/preferences", headers=me)).json()["topic"] == ["tech"]
    assert len({changed.ordinal for changed in told(world)}) == 1


async def test_a_known_address_with_another_password_is_refused(world: World) -> None:
    await world.subscribe(preferences=PREFERENCES)

    answer = await world.subscribe("ADA@example.com", "not my password", preferences={"topic": ["x"]})

    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/conflict"
    assert len(told(world)) == 1


async def test_two_who_come_at_once_with_one_address_make_one_account(world: World) -> None:
    answers = await asyncio.gather(*(world.subscribe() for _ in range(8)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({changed.subscriber_id for changed in told(world)}) == 1


async def test_an_account_whose_subscriber_was_never_made_is_healed(world: World) -> None:
    """A crash came between the two; the next attempt makes the other half."""
    await world.subscribe()
    [changed] = told(world)
    world.subscribers._stored.clear()

    assert (await world.subscribe(preferences=PREFERENCES)).status_code == 200
    assert told(world)[-1].subscriber_id == changed.subscriber_id
    assert (await world.client.get("/stats")).json() == {"subscribers": 1}


async def test_unsubscribing_is_immediate_and_may_be_repeated(world: World) -> None:
    me = await world.person()

    answers = [await world.client.post("/unsubscribe", headers=me) for _ in range(2)]

    assert [a.json() for a in answers] == [{"message": "Unsubscribed successfully"}] * 2
    assert [changed.active for changed in told(world)] == [True, False]
    assert (await world.client.get("/stats")).json() == {"subscribers": 0}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"topic": ["tech"]}, {"topic": ["tech"], "priority": []}),
        ({"topics": [" tech ", "tech"]}, {"topic": ["tech"]}),
        ({"priorities": ["high"], "categories": ["update"]}, {"priority": ["high"], "category": ["update"]}),
        ({"topic": "tech"}, {"topic": ["tech"]}),
        ({"topic": None}, {"topic": []}),
        ({"release_time": ["08:00-20:00", "NOW"]}, {"release_time": ["08:00-20:00", "now"]}),
        ({"time_zone": "Europe/Berlin"}, {"time_zone": "Europe/Berlin"}),
        ({"channels": ["SMS"]}, {"channels": ["SMS"]}),
    ],
)
async def test_preferences_are_stored_as_given(world: World, given: Any, shown: Any) -> None:
    me = await world.person()

    answer = await world.client.post("/preferences", json=given, headers=me)

    assert (answer.status_code, answer.json()) == (200, {"message": "Preferences updated successfully"})
    stored = (await world.client.get("/preferences", headers=me)).json()
    assert stored == stored | shown


async def test_channels_and_time_zone_that_are_left_out_stay(world: World) -> None:
    me = await world.person()
    await world.client.post("/preferences", json={"channels": ["PUSH"], "time_zone": "Asia/Tokyo"}, headers=me)

    await world.client.post("/preferences", json={"topic": ["tech"]}, headers=me)

    assert (told(world)[-1].subscriptions[0].channels, told(world)[-1].time_zone) == (("PUSH",), "Asia/Tokyo")


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"topic": [1]}, "topic[0]"),
        ({"topic": ["ok", " "]}, "topic[1]"),
        ({"topic": ["a\nb"]}, "topic[0]"),
        ({"topic": {"$gt": ""}}, "topic"),
        ({"topic": ["x" * 257]}, "topic[0]"),
        ({"release_time": ["08:00-25:00"]}, "release_time[0]"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"channels": ["PIGEON"]}, "channels[0]"),
        ({"tenant_id": "acme"}, "tenant_id"),
        ({"topic": ["a"], "topics": ["b"]}, "body"),
    ],
)
async def test_preferences_that_make_no_sense_are_refused_by_place(world: World, given: Any, pointer: str) -> None:
    me = await world.person()

    answer = await world.client.post("/preferences", json=given, headers=me)

    assert answer.status_code == 400, answer.text
    assert pointer in [error["pointer"] for error in answer.json()["errors"]], answer.text


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"email": "a@b\r\nBcc:x", "password": "password123"}, "email"),
        ({"email": "Ada <ada@example.com>", "password": "password123"}, "email"),
        ({"email": "ada(c)@example.com", "password": "password123"}, "email"),
        ({"email": "a\x00@example.com", "password": "password123"}, "email"),
        ({"email": "a" * 320 + "@example.com", "password": "password123"}, "email"),
        ({"email": 1, "password": "password123"}, "email"),
        ({"email": {"$gt": ""}, "password": "password123"}, "email"),
        ({"email": "a@example.com", "password": "short"}, "password"),
        ({"email": "a@example.com", "password": "x" * 1025}, "password"),
        ({"email": "a@example.com"}, "password"),
        ({"email": "a@example.com", "password": "password123", "role": "admin"}, "role"),
        ({"email": "a@example.com", "password": "password123", "subscribed": "yes"}, "subscribed"),
    ],
)
async def test_a_subscription_that_makes_no_sense_is_refused_by_place(world: World, body: Any, pointer: str) -> None:
    answer = await world.client.post("/subscribe", json=body)

    assert answer.status_code == 400, answer.text
    assert pointer in [error["pointer"] for error in answer.json()["errors"]], answer.text


async def test_a_refusal_never_repeats_the_password(world: World) -> None:
    answer = await world.client.post("/subscribe", json={"email": "x", "password": "hunter2"})

    assert "hunter2" not in answer.text


@pytest.mark.parametrize("email", ["ada@example.com", "ada@mail.test", "ada@localhost", "ADA@BÜCHER.example"])
async def test_addresses_of_any_domain_can_subscribe_and_log_in(world: World, email: str) -> None:
    assert (await world.subscribe(email)).status_code == 200
    assert await world.token(email.lower())


async def test_nobody_can_tell_an_unknown_address_from_a_wrong_password(world: World) -> None:
    await world.subscribe()

    answers = [
        await world.client.post("/token", data={"username": username, "password": password})
        for username, password in [
            ("ada@example.com", "wrong password"),
            ("nobody@example.com", "password123"),
            ("not an address", "password123"),
            ("ada@example.com", "x" * 2000),
        ]
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].headers["www-authenticate"].startswith("Bearer")


async def test_a_token_names_its_kind_and_its_life(world: World) -> None:
    await world.subscribe()

    answer = await world.client.post("/token", data={"username": "ada@example.com", "password": "password123"})

    assert answer.json() | {"access_token": ""} == {"access_token": "", "token_type": "bearer", "expires_in": 900}


async def test_subscribing_works_while_the_log_is_away_and_the_sweeper_tells_it_later(world: World) -> None:
    world.log.away = True
    assert (await world.subscribe()).status_code == 200
    world.log.away = False

    world.pass_time(3)
    assert await world.client.app.state.outbox.sweep(world.now) == 1
    assert await world.client.app.state.outbox.sweep(world.now) == 0

    assert len(told(world)) == 1


async def test_without_the_database_people_are_told_to_come_back(world: World) -> None:
    world.accounts.away = True

    answer = await world.subscribe()

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "MongoDB" not in answer.text
