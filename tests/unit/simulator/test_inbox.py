"""What the provider remembers, and what it counts as one effect."""

import asyncio
from datetime import timedelta

import pytest

from deploy.simulator.inbox import Inbox
from deploy.simulator.records import Attempt, Submission, nanoseconds, rfc3339


def send(inbox: Inbox, key: str | None, *, honour: bool = True, body: str = "hello", size: int = 100) -> Attempt:
    attempt = inbox.arrive(
        Attempt(seq=0, at=rfc3339(1), at_ns=1, channel="EMAIL", protocol="http", idempotency_key=key)
    )
    sent = Submission(to=("ann@example.com",), body=body, key=key, delivery_id=key, size=size)
    inbox.accept(attempt, sent, f"m{attempt.seq}", honour=honour)
    inbox.settle(attempt, "accept", 200)
    return attempt


def test_the_same_key_is_one_effect_and_every_attempt_is_kept() -> None:
    inbox = Inbox()
    first, second = send(inbox, "k"), send(inbox, "k")

    assert first.message_id == second.message_id == "m1"
    assert [(a.attempt, a.accepted, a.effect) for a in inbox.attempts] == [(1, True, True), (2, True, False)]
    assert [m.attempts for m in inbox.messages] == [2]
    assert inbox.totals == {"attempts": 2, "accepts": 2, "effects": 1}


def test_a_provider_that_honours_no_keys_has_an_effect_each_time() -> None:
    inbox = Inbox()
    send(inbox, "k", honour=False)
    send(inbox, "k", honour=False)

    assert inbox.totals["effects"] == 2
    assert len(inbox.messages) == 2


def test_without_a_key_every_message_is_new() -> None:
    inbox = Inbox()
    send(inbox, None)
    send(inbox, None)

    assert len(inbox.messages) == 2
    assert [a.attempt for a in inbox.attempts] == [1, 1]


def test_a_refused_attempt_counts_for_its_key() -> None:
    inbox = Inbox()
    refused = inbox.arrive(
        Attempt(seq=0, at=rfc3339(1), at_ns=1, channel="EMAIL", protocol="http", idempotency_key="k")
    )
    inbox.settle(refused, "reject", 500)
    send(inbox, "k")

    assert [a.served for a in inbox.attempts] == ["reject", "accept"]
    assert inbox.messages[0].attempts == 2


def test_only_the_newest_are_remembered_and_a_forgotten_message_stays_sent() -> None:
    inbox = Inbox(keep=3)
    for n in range(5):
        send(inbox, f"k{n}")
    again = send(inbox, "k0")

    assert [m.id for m in inbox.messages] == ["m3", "m4", "m5"]
    assert len(inbox.attempts) == 3
    assert (again.message_id, again.effect) == ("m1", False)
    assert inbox.totals == {"attempts": 6, "accepts": 6, "effects": 5}


def test_large_messages_push_out_older_ones() -> None:
    inbox = Inbox(keep_bytes=1000)
    for n in range(4):
        send(inbox, f"k{n}", size=400)

    assert [m.delivery_id for m in inbox.messages] == ["k2", "k3"]


def test_the_keys_are_bounded_too() -> None:
    inbox = Inbox(keep_keys=2)
    for key in ("a", "b", "c"):
        send(inbox, key)

    assert send(inbox, "a").effect, "the oldest key was forgotten"


def test_clearing_forgets_everything() -> None:
    inbox = Inbox()
    send(inbox, "k")
    inbox.clear()

    assert (inbox.messages, inbox.attempts) == ([], [])
    assert send(inbox, "k").effect


def test_a_message_is_found_by_either_id() -> None:
    inbox = Inbox()
    send(inbox, "d1")

    assert inbox.find("m1") is inbox.find("d1") is inbox.messages[0]
    assert inbox.find("nobody") is None


async def test_one_can_wait_for_what_arrives() -> None:
    inbox = Inbox()
    waiting = asyncio.ensure_future(inbox.until(lambda box: len(box.messages) == 2))
    await asyncio.sleep(0)
    send(inbox, "a")
    send(inbox, "b")
    await waiting

    with pytest.raises(TimeoutError):
        await inbox.until(lambda box: len(box.messages) == 3, within=timedelta(milliseconds=5))


def test_times_are_utc_with_microseconds() -> None:
    assert rfc3339(1_795_433_782_567_746_021) == "2026-11-23T11:36:22.567746Z"
    assert nanoseconds("2026-11-23T11:36:22.567746Z") == 1_795_433_782_567_746_000
    assert nanoseconds("2026-11-23T12:36:22.567746+01:00") == 1_795_433_782_567_746_000
    assert nanoseconds("17") == 17


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-23T11:36:22", "-5", "9" * 40])
def test_a_time_that_means_nothing_certain_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the standard library's own words differ by case
        nanoseconds(text)
