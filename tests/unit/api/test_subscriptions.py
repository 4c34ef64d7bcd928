"""People and services name filters, change subscribers, and erase them."""

from typing import Any

import msgspec
import pytest

from libs.common.domain.messages import SubscriberChanged
from libs.common.domain.shown import FeedItem
from libs.common.domain.subscribers import ended_version

World = Any


async def test_a_filter_can_be_made_read_replaced_and_removed(world: World) -> None:
    me = await world.person()
    body = {"filter": {"topic": [{"prefix": "sports/"}]}, "channels": ["PUSH"], "windows": ["08:00-20:00"]}

    made = await world.client.put("/v1/subscriptions/sports", json=body, headers=me)

    assert (made.status_code, made.json()) == (200, {"name": "sports", **body})
    assert (await world.client.get("/v1/subscriptions/sports", headers=me)).json() == made.json()
    listed = (await world.client.get("/v1/subscriptions", headers=me)).json()
    assert [item["name"] for item in listed["items"]] == ["default", "sports"]
    assert (await world.client.delete("/v1/subscriptions/sports", headers=me)).status_code == 204
    assert (await world.client.get("/v1/subscriptions/sports", headers=me)).status_code == 404
    assert (await world.client.delete("/v1/subscriptions/sports", headers=me)).status_code == 404


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"filter": {"topic": [{"prefix": 3}]}}, "filter.topic[0].prefix"),
        ({"filter": {"topic": "tech"}}, "filter.topic"),
        ({"filter": []}, "filter"),
        ({"filter": {"a": {"__proto__": ["x"]}}}, "filter.a"),
        ({"filter": {"topic": ["x"]}, "channels": []}, "channels"),
        ({"filter": {"topic": ["x"]}, "windows": ["late"]}, "windows[0]"),
        ({"pattern": {}}, "pattern"),
    ],
)
async def test_a_filter_that_breaks_a_rule_is_refused_by_place(world: World, body: Any, pointer: str) -> None:
    me = await world.person()

    answer = await world.client.put("/v1/subscriptions/x", json=body, headers=me)

    assert answer.status_code == 400, answer.text
    [error] = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert error["message"]


async def test_filters_that_no_record_of_the_log_could_hold_together_are_refused(world: World) -> None:
    """They were stored, and routers never heard of them nor of any later change."""
    me = await world.person()
    large = {"filter": {"topic": ["x" * 200_000]}}
    for name in ("one", "two"):
        assert (await world.client.put(f"/v1/subscriptions/{name}", json=large, headers=me)).status_code == 200

    answer = await world.client.put("/v1/subscriptions/three", json=large, headers=me)

    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == ["subscriptions"]
    listed = (await world.client.get("/v1/subscriptions", headers=me)).json()
    assert [item["name"] for item in listed["items"]] == ["default", "one", "two"]


async def test_preferences_that_mean_a_filter_larger_than_any_router_reads_are_refused(world: World) -> None:
    """Each topic stands for itself and for all below it, and letters outside of ASCII are written longer than they
    come: routers dropped such a subscription with a line in their log."""
    me = await world.person()
    topics = [f"{number}" + "\U0001f600" * 240 for number in range(200)]

    answer = await world.client.post("/preferences", json={"topic": topics}, headers=me)

    assert answer.status_code == 400, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == ["preferences"]


async def test_filters_of_one_person_are_not_anothers(world: World) -> None:
    ada, eve = await world.person("ada@example.com"), await world.person("eve@example.com")
    await world.client.put("/v1/subscriptions/mine", json={"filter": {"topic": ["x"]}}, headers=ada)

    assert (await world.client.get("/v1/subscriptions/mine", headers=eve)).status_code == 404


NEW = {
    "id": "user_001",
    "name": "Ada",
    "email": "Ada@Example.com",
    "phone": "+49 170 1234567",
    "push_tokens": [{"endpoint": "phone", "token": "t0k3n"}],
    "locale": "de_DE",
    "time_zone": "Europe/Berlin",
    "preferences": {"topic": ["tech"], "channels": ["EMAIL", "SMS"]},
}


async def test_a_service_makes_reads_changes_and_erases_a_subscriber(world: World) -> None:
    made = await world.client.post("/v1/subscribers", json=NEW, headers=world.key)

    assert made.status_code == 201, made.text
    assert made.headers["location"] == "/v1/subscribers/user_001"
    shown = made.json()
    assert (shown["email"], shown["phone"], shown["locale"]) == ("ada@example.com", "+491701234567", "de-DE")
    assert (await world.client.get("/v1/subscribers/user_001", headers=world.key)).json() == shown

    changed = await world.client.patch(
        "/v1/subscribers/user_001",
        json={"phone": "", "subscriptions": [{"name": "all", "filter": None}]},
        headers=world.key,
    )
    assert (changed.json()["phone"], changed.json()["email"]) == ("", "ada@example.com")
    assert [wanted["name"] for wanted in changed.json()["subscriptions"]] == ["all"]

    assert (await world.client.delete("/v1/subscribers/user_001", headers=world.key)).status_code == 204
    assert (await world.client.get("/v1/subscribers/user_001", headers=world.key)).status_code == 404
    assert (await world.client.delete("/v1/subscribers/user_001", headers=world.key)).status_code == 404
    last = world.log.of("sigmora.subscriptions")[-1]
    assert (last.key, last.value) == (b"acme:user_001", None)


async def test_an_id_is_drawn_when_none_is_given_and_taken_when_it_is_there(world: World) -> None:
    drawn = await world.client.post("/v1/subscribers", json={}, headers=world.key)
    again = await world.client.post("/v1/subscribers", json={"id": drawn.json()["id"]}, headers=world.key)

    assert (drawn.status_code, again.status_code) == (201, 409)


async def test_another_tenants_subscriber_is_not_there(world: World) -> None:
    await world.client.post("/v1/subscribers", json={"id": "user_001"}, headers=world.key)
    other = {"X-API-Key": await world.api_keys.create("other", "o", ["subscribers"], world.now)}

    answers = [
        await world.client.get("/v1/subscribers/user_001", headers=other),
        await world.client.patch("/v1/subscribers/user_001", json={"name": "x"}, headers=other),
        await world.client.delete("/v1/subscribers/user_001", headers=other),
    ]
    missing = await world.client.get("/v1/subscribers/nobody", headers=other)

    assert {answer.status_code for answer in answers} == {404}
    assert {answer.text for answer in answers} == {missing.text}
    assert (await world.client.get("/v1/subscribers/user_001", headers=world.key)).status_code == 200


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"id": "ada@example.com"}, "id"),
        ({"id": "../x"}, "id"),
        ({"phone": "+"}, "phone"),
        ({"phone": "+49abc"}, "phone"),
        ({"phone": "+" + "1" * 40}, "phone"),
        ({"phone": "0170 1234567"}, "phone"),
        ({"name": "a\r\nBcc: x"}, "name"),
        ({"locale": "english please"}, "locale"),
        ({"active": "yes"}, "active"),
        ({"tenant": "other"}, "tenant"),
        ({"push_tokens": [{"endpoint": "a", "token": "1"}, {"endpoint": "a", "token": "2"}]}, "push_tokens[1]"),
        (
            {"subscriptions": [{"name": "a", "filter": {"topic": [{"prefix": 1}]}}]},
            "subscriptions[0].filter.topic[0].prefix",
        ),
        ({"subscriptions": [{"name": "a"}, {"name": "a"}]}, "subscriptions[1]"),
    ],
)
async def test_a_subscriber_that_makes_no_sense_is_refused_by_place(world: World, body: Any, pointer: str) -> None:
    answer = await world.client.post("/v1/subscribers", json=body, headers=world.key)

    assert answer.status_code == 400, answer.text
    assert pointer in [error["pointer"] for error in answer.json()["errors"]], answer.text


async def test_erasing_ends_the_account_and_heals_after_a_crash(world: World) -> None:
    """The log was away: the person is gone at once all the same, and the sweeper brings it to an end."""
    me = await world.person()
    changed = msgspec.json.decode(world.log.records[-1].value or b"", type=SubscriberChanged)
    key = await world.api_keys.create("default", "k", ["subscribers"], world.now)
    feed = world.feed.items["default", changed.subscriber_id]
    feed.append(FeedItem(id="n1", event_id="e1", title="Hello Ada", content="", created_at=world.now))
    world.log.away = True

    erased = await world.client.delete(f"/v1/subscribers/{changed.subscriber_id}", headers={"X-API-Key": key})

    assert erased.status_code == 204
    left = await world.subscribers.find("default", changed.subscriber_id)
    assert left.email == ""
    assert await world.feed.page("default", changed.subscriber_id, 10) == [], "what was written to them names them"
    assert (await world.client.get("/preferences", headers=me)).status_code == 401
    world.log.away = False
    world.pass_time(3)
    await world.client.app.state.outbox.sweep(world.now)
    assert await world.subscribers.find("default", changed.subscriber_id) is None
    assert world.log.records[-1].value is None
    assert (await world.subscribe()).status_code == 200


async def test_an_id_can_be_used_again_once_it_was_erased(world: World) -> None:
    await world.client.post("/v1/subscribers", json={"id": "user_001"}, headers=world.key)
    world.log.away = True
    await world.client.delete("/v1/subscribers/user_001", headers=world.key)

    early = await world.client.post("/v1/subscribers", json={"id": "user_001"}, headers=world.key)
    world.log.away = False
    late = await world.client.post("/v1/subscribers", json={"id": "user_001"}, headers=world.key)

    assert (early.status_code, late.status_code) == (503, 201)
    assert [record.value is None for record in world.log.records] == [False, True, False]
    assert late.json()["version"] > (ended_version(world.log.records[1].headers) or 0) > 0


async def test_somebody_who_comes_back_is_newer_than_all_that_was_ever_said_of_them(world: World) -> None:
    """Versions began at 1 again: routers that had seen more of the one who was erased did not hear of the new one."""
    await world.client.post("/users", json={"id": "user_001", "name": "Ann"}, headers=world.key)
    await world.client.patch("/users/user_001", json={"name": "Anna"}, headers=world.key)
    await world.client.delete("/users/user_001", headers=world.key)
    world.pass_time(1)

    await world.client.post("/users", json={"id": "user_001", "name": "Ann"}, headers=world.key)

    *_, tombstone, back = world.log.records
    version = msgspec.json.decode(back.value or b"", type=SubscriberChanged).version
    assert version > (ended_version(tombstone.headers) or 0) > 1
