"""Each fault, as a sender sees it on a real socket."""

import asyncio
import gzip
import time
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from deploy.simulator import Simulator

GOOD = {"delivery_id": "d1", "channel": "EMAIL", "to": "ann@example.com", "body": "hello"}
KEY = {"Idempotency-Key": "d1"}


def seen(sim: Simulator) -> tuple[str, int | None, bool, str | None]:
    """What the last attempt says came of it."""
    last = sim.inbox.attempts[-1]
    return last.served, last.status, last.accepted, last.fault_kind


async def test_a_status_is_answered_with_its_headers_and_body(sim: Simulator, http: Any, fault: Any) -> None:
    await fault("status", code=503, headers={"Retry-After": "7"}, body={"why": "tired"})
    async with http.post(f"{sim.url('email')}/send", json=GOOD, headers=KEY) as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "7"
        assert await answer.json() == {"why": "tired"}

    assert seen(sim) == ("reject", 503, False, "status")
    assert sim.inbox.messages == []


@pytest.mark.parametrize("code", [200, 204, 302, 304, 400, 410, 425, 500, 599])
async def test_any_status_can_be_had(sim: Simulator, http: Any, fault: Any, code: int) -> None:
    await fault("status", code=code)
    async with http.post(f"{sim.url('email')}/send", json=GOOD, headers=KEY, allow_redirects=False) as answer:
        assert answer.status == code

    assert seen(sim) == ("accept" if code < 300 else "reject", code, code < 300, "status")


async def test_a_delay_comes_before_the_usual_answer(sim: Simulator, send: Any, fault: Any) -> None:
    await fault("delay", ms=150)
    before = time.time_ns()
    status, _ = await send()

    assert status == 200
    assert time.time_ns() - before >= 150_000_000


async def test_a_sender_that_left_during_a_delay_is_delivered_all_the_same(
    sim: Simulator, http: Any, fault: Any
) -> None:
    await fault("delay", ms=200)
    with pytest.raises(TimeoutError):
        await http.post(f"{sim.url('email')}/send", json=GOOD, headers=KEY, timeout=aiohttp.ClientTimeout(total=0.05))
    await sim.inbox.until(lambda inbox: len(inbox.messages) == 1)


@pytest.mark.parametrize("accept", [False, True])
async def test_hanging_gives_no_answer(sim: Simulator, http: Any, fault: Any, accept: bool) -> None:
    await fault("hang", accept=accept)
    with pytest.raises(TimeoutError):
        await http.post(f"{sim.url('email')}/send", json=GOOD, headers=KEY, timeout=aiohttp.ClientTimeout(total=0.1))

    assert seen(sim) == ("hang", None, accept, "hang")
    assert len(sim.inbox.messages) == accept


async def test_dropping_before_has_no_effect(sim: Simulator, http: Any, fault: Any) -> None:
    await fault("drop_before")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await http.post(f"{sim.url('email')}/send", json=GOOD, headers=KEY)

    assert seen(sim) == ("drop", None, False, "drop_before")
    assert sim.inbox.messages == []


async def test_f13_dropping_after_accept_has_one_effect_however_often_it_is_tried(
    sim: Simulator, http: Any, send: Any, fault: Any
) -> None:
    await fault("drop_after_accept", rule={"times": 2})
    for _ in range(2):
        with pytest.raises(aiohttp.ClientOSError):  # the connection was reset
            await http.post(f"{sim.url('email')}/send", json=GOOD, headers=KEY)
    status, answer = await send()

    assert status == 200
    assert [(m.id, m.attempts) for m in sim.inbox.messages] == [(answer["provider_message_id"], 3)]
    assert [(a.served, a.effect) for a in sim.inbox.attempts] == [("drop", True), ("drop", False), ("accept", False)]


async def test_a_rate_limit_answers_429_with_retry_after(sim: Simulator, http: Any, fault: Any) -> None:
    await fault("rate_limit", per_second=1, retry_after=3)
    answers = []
    for n in range(3):
        async with http.post(f"{sim.url('email')}/send", json=GOOD, headers={"Idempotency-Key": f"d{n}"}) as answer:
            answers.append((answer.status, answer.headers.get("Retry-After")))

    assert answers == [(200, None), (429, "3"), (429, "3")]


async def test_garbage_is_no_http(sim: Simulator, http: Any, fault: Any) -> None:
    await fault("garbage")
    with pytest.raises(aiohttp.ClientResponseError):
        await http.post(f"{sim.url('email')}/send", json=GOOD, headers=KEY)

    assert seen(sim) == ("accept", None, True, "garbage")


async def test_malformed_json_is_a_success_that_cannot_be_read(sim: Simulator, http: Any, fault: Any) -> None:
    await fault("malformed_json")
    async with http.post(f"{sim.url('email')}/send", json=GOOD, headers=KEY) as answer:
        assert answer.status == 200
        with pytest.raises(ValueError, match="Unterminated"):
            await answer.json()


async def test_a_drip_is_the_usual_answer_slowly(sim: Simulator, http: Any, fault: Any) -> None:
    await fault("drip", bytes_per_second=500)
    before = time.monotonic()
    async with http.post(f"{sim.url('email')}/send", json=GOOD, headers=KEY) as answer:
        first = await answer.content.readany()
        rest = await answer.read()

    assert len(first) < len(first + rest)
    assert time.monotonic() - before >= (len(first + rest) - 1) / 500, "never faster than asked for"
    assert sim.inbox.messages[0].id.encode() in first + rest


async def test_an_endless_answer_outlasts_its_reader(sim: Simulator, http: Any, fault: Any) -> None:
    await fault("endless")
    async with http.post(f"{sim.url('email')}/send", json=GOOD, headers=KEY) as answer:
        assert answer.status == 200
        for _ in range(20):
            assert len(await answer.content.readexactly(65536)) == 65536
        answer.close()


async def test_a_gzip_bomb_unpacks_to_what_was_asked_for(sim: Simulator, fault: Any) -> None:
    await fault("gzip_bomb", megabytes=20)
    async with (
        aiohttp.ClientSession(auto_decompress=False) as raw,
        raw.post(f"{sim.url('email')}/send", json=GOOD, headers=KEY) as answer,
    ):
        packed = await answer.read()

    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(packed) < 100_000
    assert len(gzip.decompress(packed)) == 20 * 2**20


@pytest.mark.parametrize(("code", "status"), [(550, 422), (451, 503)])
async def test_a_recipient_is_refused_for_good_or_for_now(send: Any, fault: Any, code: int, status: int) -> None:
    await fault("refuse_recipient", code=code)

    assert (await send())[0] == status


@pytest.mark.parametrize("kind", ["garbage", "malformed_json", "endless", "gzip_bomb"])
async def test_an_unusable_answer_need_not_mean_that_it_was_accepted(
    sim: Simulator, http: Any, fault: Any, kind: str
) -> None:
    await fault(kind, accept=False)
    try:
        answer = await http.post(f"{sim.url('email')}/send", json=GOOD, headers=KEY)
        answer.close()
    except aiohttp.ClientResponseError:
        pass
    await sim.inbox.until(lambda inbox: inbox.attempts[-1].served == "reject")

    assert sim.inbox.messages == []


async def test_a_rule_meets_whom_it_names_and_as_often_as_it_says(sim: Simulator, send: Any, fault: Any) -> None:
    await fault("status", code=500, rule={"channel": "SMS", "to": "+49*", "times": 2})

    assert [(await send("d1", "SMS", to="+491"))[0] for _ in range(3)] == [500, 500, 200]
    assert (await send("d2", "SMS", to="+331"))[0] == 200
    assert (await send("d3"))[0] == 200
    assert [a.attempt for a in sim.inbox.attempts if a.delivery_id == "d1"] == [1, 2, 3]


async def test_faults_are_listed_and_taken_back(sim: Simulator, http: Any, send: Any, fault: Any) -> None:
    first = await fault("status", code=500)
    second = await fault("status", code=400)
    url = f"{sim.url('push')}/faults"
    async with http.get(url) as answer:
        assert [rule["id"] for rule in await answer.json()] == [first, second]
    assert (await send())[0] == 500
    async with http.delete(f"{url}/{first}") as answer:
        assert answer.status == 204
    assert (await send())[0] == 400
    async with http.delete(url) as answer:
        assert answer.status == 204
    assert (await send())[0] == 200


async def test_a_bad_fault_is_refused_and_its_field_is_named(sim: Simulator, http: Any) -> None:
    async with http.post(f"{sim.url('email')}/faults", data=b'{"action": {"kind": "delay", "ms": "long"}}') as answer:
        problem = await answer.json(content_type="application/problem+json")

    assert answer.status == 400
    assert problem["errors"][0]["field"] == "action.ms"


async def test_stopping_is_quick_whatever_hangs(start: Any, http: Any) -> None:
    """Requests that hang, drip, wait and stream are let go at once."""
    sim = await start()
    for rule in ('{"kind": "hang"}', '{"kind": "endless"}', '{"kind": "drip", "bytes_per_second": 0.1}'):
        async with http.post(f"{sim.url('sms')}/faults", data=f'{{"times": 1, "action": {rule}}}'):
            pass
    async with http.post(f"{sim.url('sms')}/faults", data=b'{"action": {"kind": "delay", "ms": 60000}}'):
        pass
    sends = [
        asyncio.ensure_future(http.post(f"{sim.url('email')}/send", json=GOOD, headers={"Idempotency-Key": f"d{n}"}))
        for n in range(8)
    ]
    stream = asyncio.ensure_future(http.get(f"{sim.url('email')}/stream"))
    await sim.inbox.until(lambda inbox: len(inbox.attempts) == 8, within=timedelta(seconds=5))
    async with asyncio.timeout(2):
        await sim.__aexit__()
    for answer in await asyncio.gather(*sends, stream, return_exceptions=True):
        if isinstance(answer, aiohttp.ClientResponse):
            answer.close()
