"""Direct notifications on fakes: accepted once, looked up from the first moment, read."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from litestar.testing import AsyncTestClient

from libs.common.adapters.cache.memory import MemoryCache
from libs.common.domain import keys
from libs.common.domain.api_keys import Scope
from libs.common.domain.channels import Channel
from libs.common.domain.notifications import Decided, KeptDelivery
from libs.common.domain.states import State
from libs.common.domain.templates import Template, Variant
from tests.unit.api.notifying import BODY, World, deliver, events, notify, publish, status, statuses, with_a_user


@pytest.fixture
async def acme(world: World) -> World:
    return await with_a_user(world)


async def test_a_notification_is_an_event_that_names_its_recipient(acme: World) -> None:
    answer = await notify(acme)

    assert answer.status_code == 202, answer.text
    [event] = events(acme)
    said = answer.json()
    assert said == {
        "id": keys.notification_id(event.eventid, "u1"),
        "event_id": event.eventid,
        "user_id": "u1",
        "status": "QUEUED",
        "channels": {"EMAIL": {"status": "QUEUED"}},
    }
    assert answer.headers["location"] == f"/notifications/{said['id']}"
    assert (event.tenant, event.data.recipients, event.data.channels) == ("acme", ("u1",), (Channel.EMAIL,))
    assert (event.data.template_id, event.data.template_version) == ("greeting", 1)
    assert event.data.variables == {"order": 7}


async def test_a_user_is_looked_up_once_in_a_while_and_at_once_after_a_change(
    acme: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    find = acme.subscribers.find

    async def counting(*place: str) -> Any:
        nonlocal looks
        looks += 1
        return await find(*place)

    monkeypatch.setattr(acme.subscribers, "find", counting)
    acme.cache = MemoryCache(timedelta(minutes=1))
    async with AsyncTestClient(acme.app()) as acme.client:
        assert [(await notify(acme)).status_code for _ in range(5)] == [202] * 5
        assert looks == 1

        await acme.client.patch("/v1/subscribers/u1", json={"locale": "de"}, headers=acme.key)
        looks = 0
        assert [(await notify(acme)).status_code for _ in range(3)] == [202] * 3
        assert looks == 1

        await acme.client.delete("/v1/subscribers/u1", headers=acme.key)
        assert (await notify(acme)).status_code == 404


@pytest.mark.parametrize("where", ["header", "body", "both"])
async def test_the_same_key_with_the_same_body_has_one_effect(acme: World, where: str) -> None:
    """Also when the template was changed and the user erased since: a repetition means what the first one meant."""
    headers = {"Idempotency-Key": "k1"} if where != "body" else {}
    body = {**BODY, "idempotency_key": "k1"} if where != "header" else BODY
    first = await notify(acme, body, **headers)
    await publish(acme, 2, "Changed")
    second = await notify(acme, body, **headers)
    await acme.client.delete("/v1/subscribers/u1", headers=acme.key)
    acme.pass_time(1)
    third = await notify(acme, body, **headers)

    assert [answer.status_code for answer in (first, second, third)] == [202, 202, 202]
    assert first.json() == second.json() == third.json()
    # Appended again, byte for byte: whoever reads it knows it by its id.
    assert events(acme)[0] == events(acme)[1] == events(acme)[2]


async def test_the_key_is_one_key_wherever_it_stands(acme: World) -> None:
    by_header = await notify(acme, **{"Idempotency-Key": "k1"})
    by_body = await notify(acme, {**BODY, "idempotency_key": "k1"})

    assert by_header.json() == by_body.json()


async def test_the_same_key_with_another_body_is_refused(acme: World) -> None:
    await notify(acme, **{"Idempotency-Key": "k1"})

    answer = await notify(acme, {**BODY, "variables": {"order": 8}}, **{"Idempotency-Key": "k1"})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-conflict")
    assert len(events(acme)) == 1


async def test_two_different_keys_in_one_request_are_refused(acme: World) -> None:
    answer = await notify(acme, {**BODY, "idempotency_key": "k2"}, **{"Idempotency-Key": "k1"})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "idempotency_key"


async def test_without_a_key_each_request_is_a_notification(acme: World) -> None:
    assert (await notify(acme)).json()["id"] != (await notify(acme)).json()["id"]


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"user_id": "nobody"}, 404, "user_id"),
        ({"template_id": "nothing"}, 404, "template_id"),
        ({"variables": {}}, 422, "variables.order"),
        ({"channels": ["SMS"]}, 422, "channels[0]"),
        ({"channels": []}, 400, "channels"),
        ({"channels": ["FAX"]}, 400, "channels[0]"),
        ({"user_id": "a@b"}, 400, "user_id"),
        ({"variables": {"$set": 1}}, 400, "variables"),
        ({"variables": [1]}, 400, "variables"),
        ({"tenant": "other"}, 400, "tenant"),
        ({"idempotency_key": ""}, 400, "idempotency_key"),
        ({"release_time": "2030-01-01T10:00:00"}, 400, "release_time"),
        ({"release_time": 0}, 400, "release_time"),
        ({"expires_at": 0}, 400, "expires_at"),
        ({"expires_at": False}, 400, "expires_at"),
        ({"release_time": "2039-01-01T10:00:00Z"}, 400, "release_time"),
        ({"release_time": "2030-01-03T00:00:00Z", "expires_at": "2030-01-02T00:00:00Z"}, 400, "expires_at"),
    ],
)
async def test_what_cannot_work_is_refused_by_name(
    acme: World, change: dict[str, Any], code: int, pointer: str
) -> None:
    answer = await notify(acme, {**BODY, **change})

    assert answer.status_code == code, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert acme.log.records == []


@pytest.mark.parametrize(
    ("locale", "channel", "pointers"),
    [
        ("en", "EMAIL", ["variables.order"]),
        ("de", "EMAIL", ["variables.vorname"]),
        ("en", "INAPP", ["variables.order"]),  # no words of its own in English: the mail's stand in
        ("de", "INAPP", []),
    ],
)
async def test_only_what_the_words_for_this_user_need_is_asked_for(
    acme: World, locale: str, channel: str, pointers: list[str]
) -> None:
    """What another language needs was asked for, and what words that stand in need was not."""
    mail = Variant(channel=Channel.EMAIL, subject="Hi", text="{{ order }}")
    german = Variant(channel=Channel.EMAIL, locale="de", subject="Hallo", text="{{ vorname }}")
    feed = Variant(channel=Channel.INAPP, locale="de", text="Hallo")
    made = Template(
        tenant="acme",
        template_id="greeting",
        version=2,
        published=True,
        variants=(mail, german, feed),
        created_at=acme.now,
        updated_at=acme.now,
    )
    await acme.templates.add(made)
    await acme.client.post("/v1/subscribers", json={"id": "u2", "locale": locale}, headers=acme.key)

    answer = await notify(acme, {**BODY, "user_id": "u2", "channels": [channel], "variables": {}})

    assert [flaw["pointer"] for flaw in answer.json().get("errors", [])] == pointers
    assert answer.status_code == (422 if pointers else 202)


@pytest.mark.parametrize(
    ("locale", "message"),
    [
        ("de", ""),
        ("de-AT", ""),
        ("fr", "the template has no words for EMAIL in fr, and none by default"),
        ("", "the template has no words for EMAIL by default, and the user has no locale"),
    ],
)
async def test_a_template_without_words_in_the_users_language_is_refused(
    acme: World, locale: str, message: str
) -> None:
    await publish(acme, 2, "Bestellung {{ order }}", locale="de")
    await acme.client.post("/v1/subscribers", json={"id": "u2", "locale": locale}, headers=acme.key)
    answer = await notify(acme, {**BODY, "user_id": "u2"})

    assert answer.status_code == (422 if message else 202), answer.text
    told = [(flaw["pointer"], flaw["message"]) for flaw in answer.json().get("errors", [])]
    assert told == ([("channels[0]", message)] if message else [])


async def test_a_template_that_was_stored_when_more_was_allowed_is_refused(acme: World) -> None:
    await publish(acme, 2, "{{ 1e400 }}")
    answer = await notify(acme)

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"] == [
        {"pointer": "template_id", "message": "the template cannot be rendered: line 1: a number is too large"}
    ]


async def test_a_user_without_an_address_is_no_reason_to_refuse(acme: World) -> None:
    await acme.client.post("/v1/subscribers", json={"id": "u2"}, headers=acme.key)

    assert (await notify(acme, {**BODY, "user_id": "u2"})).status_code == 202


async def test_nothing_is_promised_while_the_log_is_away(acme: World) -> None:
    acme.log.away = True
    refused = await notify(acme, **{"Idempotency-Key": "k1"})
    acme.log.away = False
    healed = await notify(acme, **{"Idempotency-Key": "k1"})

    assert (refused.status_code, healed.status_code) == (503, 202)
    assert len(events(acme)) == 1


async def test_it_is_known_from_the_first_moment(acme: World) -> None:
    accepted = (await notify(acme, {**BODY, "channels": ["EMAIL", "PUSH"]})).json()

    found = await status(acme, accepted["id"])

    assert (found["status"], found["user_id"], found["event_id"]) == ("QUEUED", "u1", accepted["event_id"])
    assert {name: channel["status"] for name, channel in found["channels"].items()} == {
        "EMAIL": "QUEUED",
        "PUSH": "QUEUED",
    }


@pytest.mark.parametrize(
    ("decided", "status_", "reason"),
    [
        (Decided(outcome="SEND", reason="addressed", channel=Channel.EMAIL), "QUEUED", ""),
        (Decided(outcome="HOLD", reason="window_closed", channel=Channel.EMAIL), "HELD", "window_closed"),
        (Decided(outcome="SUPPRESS", reason="unsubscribed"), "SUPPRESSED", "unsubscribed"),
        (Decided(outcome="EXPIRED", reason="expired"), "EXPIRED", "expired"),
    ],
)
async def test_what_was_decided_shows_before_there_is_a_delivery(
    acme: World, decided: Decided, status_: str, reason: str
) -> None:
    accepted = (await notify(acme)).json()
    due = acme.now + timedelta(hours=1) if decided.outcome == "HOLD" else None
    ordinal = (await acme.subscribers.find("acme", "u1")).ordinal
    decisions = {ordinal: [msgspec.structs.replace(decided, due_at=due)], ordinal + 1: []}
    acme.notifications.decisions["acme", accepted["event_id"]] = decisions

    found = await status(acme, accepted["id"])

    assert (found["status"], found["channels"]["EMAIL"]["status"]) == (status_, status_)
    assert found["channels"]["EMAIL"]["reason"] == reason


async def test_an_attempt_shows_what_the_provider_said(acme: World) -> None:
    accepted = (await notify(acme)).json()
    delivery = await deliver(acme, accepted)

    found = await status(acme, accepted["id"])

    email = found["channels"]["EMAIL"]
    assert (found["status"], email["status"], email["provider_message_id"]) == ("SENT", "SENT", "m-EMAIL-main")
    [attempt] = email["attempts"]
    assert set(attempt) == {"number", "at", "provider", "latency_ms", "answer", "reason", "next_at"}
    assert email["deliveries"] == [{"delivery_id": delivery.id, "endpoint": "main", "status": "SENT", "reason": ""}]


async def test_several_devices_are_one_channel(acme: World) -> None:
    """What reached somebody stands for what did not."""
    accepted = (await notify(acme, {**BODY, "channels": ["PUSH"]})).json()
    await deliver(acme, accepted, Channel.PUSH, State.UNDELIVERABLE, "a")
    await deliver(acme, accepted, Channel.PUSH, State.SENT, "b")

    push = (await status(acme, accepted["id"]))["channels"]["PUSH"]

    assert (push["status"], push["provider_message_id"]) == ("SENT", "m-PUSH-b")
    assert {each["endpoint"]: each["status"] for each in push["deliveries"]} == {"a": "UNDELIVERABLE", "b": "SENT"}


async def test_others_notifications_are_not_there(acme: World) -> None:
    """Neither another tenant's nor another person's, whatever is done with them."""
    accepted = (await notify(acme)).json()
    await deliver(acme, accepted)
    other = await acme.api_keys.create("other", "n", [Scope.NOTIFICATIONS], acme.now)
    person = await acme.person()
    for headers in ({"X-API-Key": other}, person):
        answers = [
            await acme.client.get(f"/notifications/{accepted['id']}", headers=headers),
            await acme.client.post(f"/notifications/{accepted['id']}/read", headers=headers),
        ]
        assert [answer.status_code for answer in answers] == [404, 404]
    cancelled = await acme.client.post(f"/v1/notifications/{accepted['id']}/cancel", headers={"X-API-Key": other})
    assert cancelled.status_code == 404
    assert (await acme.client.get("/notifications/nothing", headers=acme.key)).status_code == 404


async def test_the_owner_sees_and_reads_their_own(acme: World) -> None:
    """By token, in the tenant of people who subscribed themselves."""
    me = await acme.person()
    account = await acme.accounts.find("default", "ada@example.com")
    delivery = KeptDelivery(
        id="d1",
        tenant="default",
        event_id="e1",
        notification_id="n1",
        subscriber_id=account.subscriber_id,
        channel=Channel.INAPP,
        state=State.SENDING,
        created_at=acme.now,
        updated_at=acme.now,
    )
    acme.notifications.kept["d1"] = delivery
    acme.notifications.feed["default", "n1"] = None

    answer = await acme.client.post("/notifications/n1/read", headers=me)
    acme.pass_time(5)
    again = await acme.client.post("/notifications/n1/read", headers=me)

    assert (answer.status_code, answer.json()["status"]) == (200, "READ")
    assert again.json() == answer.json()
    assert acme.notifications.feed["default", "n1"] == acme.now - timedelta(seconds=5)
    assert (await acme.client.get("/notifications/n1", headers=me)).json()["channels"]["INAPP"]["status"] == "READ"
    assert (await acme.client.post("/v1/notifications/n1/cancel", headers=me)).status_code == 409
    neighbour = await acme.person("eve@example.com")
    assert (await acme.client.get("/notifications/n1", headers=neighbour)).status_code == 404
    assert (await acme.client.post("/notifications/n1/read", headers=neighbour)).status_code == 404


async def test_reading_leaves_the_other_channels_as_they_are(acme: World) -> None:
    accepted = (await notify(acme)).json()
    await deliver(acme, accepted)
    await deliver(acme, accepted, Channel.INAPP)

    answer = await acme.client.post(f"/notifications/{accepted['id']}/read", headers=acme.key)

    states = {name: channel["status"] for name, channel in answer.json()["channels"].items()}
    assert states == {"EMAIL": "SENT", "INAPP": "READ"}
    assert [(change.data.channel, change.data.state) for change in statuses(acme)] == [(Channel.INAPP, "READ")]


@pytest.mark.parametrize(
    ("before", "code", "after"),
    [
        (State.SENT, 200, "READ"),
        (State.DELIVERED, 200, "READ"),
        (State.READ, 200, "READ"),
        (State.RETRYING, 409, "RETRYING"),
        (State.UNDELIVERABLE, 409, "UNDELIVERABLE"),
    ],
)
async def test_what_never_went_to_a_feed_is_read_where_it_arrived(
    acme: World, before: State, code: int, after: str
) -> None:
    """And what has not arrived cannot be read, so that reading never stops a delivery."""
    accepted = (await notify(acme)).json()
    await deliver(acme, accepted, state=before)

    answer = await acme.client.post(f"/notifications/{accepted['id']}/read", headers=acme.key)

    assert answer.status_code == code
    assert answer.json()["status"] == (after if code == 200 else 409)
    assert (await status(acme, accepted["id"]))["status"] == after


async def test_a_key_without_the_scope_may_do_none_of_it(acme: World) -> None:
    accepted = (await notify(acme)).json()
    key = {"X-API-Key": await acme.api_keys.create("acme", "n", [Scope.EVENTS], acme.now)}
    requests = [
        ("POST", "/notifications"),
        ("GET", f"/notifications/{accepted['id']}"),
        ("POST", f"/notifications/{accepted['id']}/read"),
        ("POST", f"/v1/notifications/{accepted['id']}/cancel"),
    ]

    answers = [await acme.client.request(method, path, headers=key, json=BODY) for method, path in requests]

    assert {answer.status_code for answer in answers} == {403}


async def test_it_is_as_it_was_while_the_database_is_away(acme: World) -> None:
    accepted = (await notify(acme)).json()
    acme.notifications.away = True
    async with AsyncTestClient(acme.app()) as client:
        answer = await client.get(f"/notifications/{accepted['id']}", headers=acme.key)

    assert answer.status_code == 503
