"""The surface that NotifyHub had, on the running platform: users, templates, notifications, receipts."""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.local.platform import Platform
from libs.common.testing.driver import Driver, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]


class Hub:
    """A service that notifies users."""

    def __init__(self, sigmora: Driver, platform: Platform) -> None:
        self.http = sigmora.api
        self.sigmora = sigmora
        self.key = {"X-API-Key": sigmora.api_key}
        self.token = {"X-Provider-Token": platform.environ["PROVIDER_CALLBACK_TOKEN"]}

    async def user(self, **more: Any) -> dict[str, Any]:
        """A new user, with an e-mail address of their own."""
        name = f"u-{secrets.token_hex(5)}"
        body = {"id": name, "name": "Ada", "email": f"{name}@example.com", **more}
        answer = await self.http.post("/users", json=body, headers=self.key)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def notify(self, user: str, *channels: str, **more: Any) -> Any:
        """`POST /notifications` with the seeded template."""
        body = {"user_id": user, "template_id": "tpl_001", "channels": list(channels or ("EMAIL",)), **more}
        return await self.http.post("/notifications", json=body, headers=self.key)

    async def accepted(self, user: str, *channels: str, **more: Any) -> str:
        """The id of a notification that must be accepted."""
        answer = await self.notify(user, *channels, **more)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def status(self, notification: str) -> dict[str, Any]:
        """`GET /notifications/{id}`."""
        answer = await self.http.get(f"/notifications/{notification}", headers=self.key)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def until(self, notification: str, status: str, channel: str = "EMAIL") -> dict[str, Any]:
        """Wait until a channel is in a state."""
        return await eventually(
            lambda: self.status(notification), lambda seen: seen["channels"][channel]["status"] == status
        )

    async def receipt(self, notification: str, status: str, channel: str = "EMAIL", **more: Any) -> Any:
        """What a provider says."""
        body = {"channel": channel, "status": status, **more}
        return await self.http.post(f"/notifications/{notification}/receipt", json=body, headers=self.token)

    async def attempts(self, user: dict[str, Any]) -> list[dict[str, Any]]:
        """The provider's view."""
        return await self.sigmora.attempts(user["email"])


@pytest.fixture
def hub(sigmora: Driver, platform: Platform) -> Hub:
    """The platform as NotifyHub's users had it."""
    return Hub(sigmora, platform)


async def test_the_seeded_user_gets_the_seeded_template_on_all_channels(hub: Hub) -> None:
    accepted = await hub.notify("user_001", "EMAIL", "SMS", "PUSH", variables={"name": "Ada"})
    assert accepted.headers["location"] == f"/notifications/{accepted.json()['id']}"

    found = await eventually(
        lambda: hub.status(accepted.json()["id"]),
        lambda seen: all(each["status"] in ("SENT", "DELIVERED") for each in seen["channels"].values()),
    )

    assert set(found["channels"]) == {"EMAIL", "SMS", "PUSH"}
    for channel in found["channels"].values():
        assert channel["provider_message_id"]
        assert [attempt["answer"] for attempt in channel["attempts"]] == ["accepted"]
    mails = await hub.sigmora.inbox("user_001@example.com")
    assert any(mail["body"] == "Hello Ada!" for mail in mails)


async def test_a_notification_is_sent_once_however_often_it_is_asked_for(hub: Hub) -> None:
    user = await hub.user()
    answers = await asyncio.gather(
        *(hub.notify(user["id"], idempotency_key=user["id"], variables={"name": "Ada"}) for _ in range(8))
    )
    other = await hub.notify(user["id"], idempotency_key=user["id"], variables={"name": "Eve"})

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert other.status_code == 422
    await hub.until(answers[0].json()["id"], "SENT")
    later = await hub.accepted(user["id"])
    await hub.until(later, "SENT")
    assert len(await hub.attempts(user)) == 2


async def test_receipts_and_reading_move_a_notification_on_and_never_back(hub: Hub) -> None:
    user = await hub.user()
    notification = await hub.accepted(user["id"])
    await hub.until(notification, "SENT")

    assert (await hub.receipt(notification, "DELIVERED")).json() == {"applied": True}
    assert (await hub.receipt(notification, "DELIVERED")).json() == {"applied": False}
    read = await hub.http.post(f"/notifications/{notification}/read", headers=hub.key)
    assert (read.status_code, read.json()["status"]) == (200, "READ")
    assert (await hub.receipt(notification, "BOUNCED")).json() == {"applied": False}
    assert (await hub.status(notification))["status"] == "READ"
    assert (await hub.receipt("unknown", "DELIVERED")).json() == {"applied": False}
    hub.token = {"X-Provider-Token": "wrong"}
    assert (await hub.receipt(notification, "DELIVERED")).status_code == 401


async def test_an_address_that_bounced_is_not_written_to_until_it_is_lifted(hub: Hub) -> None:
    user = await hub.user()
    first = await hub.accepted(user["id"])
    await hub.until(first, "SENT")
    await hub.receipt(first, "BOUNCED", reason="no such mailbox")
    assert (await hub.status(first))["channels"]["EMAIL"]["reason"] == "bounced"

    second = await hub.accepted(user["id"])
    suppressed = await eventually(
        lambda: hub.status(second), lambda seen: seen["channels"]["EMAIL"]["status"] not in ("QUEUED", "SENDING")
    )
    listed = (await hub.http.get("/v1/suppressions", headers=hub.key)).json()["items"]
    lifted = await hub.http.post(
        "/v1/suppressions/lift", json={"channel": "EMAIL", "address": user["email"]}, headers=hub.key
    )
    third = await hub.accepted(user["id"])
    await hub.until(third, "SENT")

    assert suppressed["channels"]["EMAIL"]["status"] in ("SUPPRESSED", "UNDELIVERABLE")
    assert listed[0]["reason"] == "HARD_BOUNCE"
    assert lifted.status_code == 204
    assert len(await hub.attempts(user)) == 2


async def test_what_waits_for_its_time_can_be_withdrawn(hub: Hub) -> None:
    user = await hub.user()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    notification = await hub.accepted(user["id"], release_time=tomorrow.isoformat())
    held = await hub.until(notification, "HELD")

    cancelled = await hub.http.post(f"/v1/notifications/{notification}/cancel", headers=hub.key)

    assert held["channels"]["EMAIL"]["reason"] == "not_before"
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "CANCELLED")


async def test_what_is_to_be_tried_again_can_be_withdrawn_and_is_not(hub: Hub) -> None:
    user = await hub.user()
    await hub.sigmora.fault(to=user["email"], action={"kind": "status", "code": 503})
    notification = await hub.accepted(user["id"])

    async def cancel() -> int:
        return (await hub.http.post(f"/v1/notifications/{notification}/cancel", headers=hub.key)).status_code

    await eventually(cancel, lambda code: code == 200)  # 409 while an attempt is under way
    made = len(await hub.attempts(user))
    await hub.sigmora.healthy()
    # One that goes through every tier afterwards: by then a retry would have come.
    other = await hub.user()
    await hub.sigmora.fault(to=other["email"], times=3, action={"kind": "status", "code": 503})
    witness = await hub.accepted(other["id"])
    await hub.until(witness, "SENT")

    assert (await hub.status(notification))["status"] == "CANCELLED"
    assert len(await hub.attempts(user)) == made
    sent = await hub.http.post(f"/v1/notifications/{witness}/cancel", headers=hub.key)
    assert (sent.status_code, sent.json()["channels"]) == (409, {"EMAIL": "SENT"})


async def test_what_is_withdrawn_at_once_is_sent_or_cancelled_and_never_both(hub: Hub) -> None:
    """A race with the dispatcher that nobody arranges: whoever is first has it."""
    user = await hub.user()
    notifications = [await hub.accepted(user["id"]) for _ in range(10)]
    answers = await asyncio.gather(
        *(hub.http.post(f"/v1/notifications/{each}/cancel", headers=hub.key) for each in notifications)
    )
    for notification, answer in zip(notifications, answers, strict=True):
        assert answer.status_code in (200, 409)
        await hub.until(notification, "CANCELLED" if answer.status_code == 200 else "SENT")
    refused = sum(answer.status_code == 409 for answer in answers)

    await eventually(lambda: hub.attempts(user), lambda seen: len(seen) == refused)


async def test_a_user_without_an_address_is_undeliverable(hub: Hub) -> None:
    user = await hub.user(email="")
    notification = await hub.accepted(user["id"])

    found = await hub.until(notification, "UNDELIVERABLE")

    assert found["channels"]["EMAIL"]["reason"] == "no_address"


async def test_what_is_not_there_is_named(hub: Hub) -> None:
    nobody = await hub.notify("nobody")
    user = await hub.user()
    body = {"user_id": user["id"], "template_id": "nothing", "channels": ["EMAIL"]}
    nothing = await hub.http.post("/notifications", json=body, headers=hub.key)

    assert (nobody.status_code, nobody.json()["errors"][0]["pointer"]) == (404, "user_id")
    assert (nothing.status_code, nothing.json()["errors"][0]["pointer"]) == (404, "template_id")


async def test_an_operator_decides_about_what_nobody_could_tell(hub: Hub) -> None:
    """An SMS whose answer was lost is parked: a second one costs money. The event is read from the log again."""
    number = f"+1500555{secrets.randbelow(10_000):04}"
    user = await hub.user(phone=number)
    await hub.sigmora.fault(to=number, action={"kind": "drop_after_accept"})
    notification = await hub.accepted(user["id"], "SMS")
    parked = await hub.until(notification, "UNKNOWN", "SMS")
    await hub.sigmora.healthy()

    [delivery] = parked["channels"]["SMS"]["deliveries"]
    path = f"/v1/deliveries/{delivery['delivery_id']}/resolve"
    resolved = await hub.http.post(path, json={"state": "RETRY"}, headers=hub.key)
    found = await hub.until(notification, "SENT", "SMS")

    assert (resolved.status_code, resolved.json()["state"]) == (200, "RETRYING")
    assert [attempt["answer"] for attempt in found["channels"]["SMS"]["attempts"]] == ["unknown", "accepted"]
    # The provider honours the key: asked twice, it sent one.
    assert (len(await hub.sigmora.attempts(number)), len(await hub.sigmora.inbox(number))) == (2, 1)
    assert (await hub.http.post(path, json={"state": "SENT"}, headers=hub.key)).status_code == 409
