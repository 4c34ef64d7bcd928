"""Who is asked for a message, and when nobody is."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.domain.breaker import BreakerRules
from libs.common.domain.channels import Channel, Lane
from libs.common.domain.messages import Event
from libs.common.domain.outcome import Accepted, NotNow, Refused, Unknown
from libs.common.domain.retry import Settle
from libs.common.domain.states import State
from libs.common.observability.metrics import Metrics
from libs.common.testing.senders import ScriptedSender
from libs.common.testing.waiting import eventually
from services.dispatcher.channels.base import Choice, Message
from services.dispatcher.flow import Flow
from services.dispatcher.guards import Guards, Withdrawn, Withheld
from services.dispatcher.health import OUR_DEFECT, is_healthy
from services.dispatcher.providers import Provider, host_of

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(seconds=20)
RULES = BreakerRules(threshold=0.5, minimum=4, window=10.0, cool_down=5.0, probes=1)
DOWN = NotNow("http_503")


class Time:
    """Passes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def sender(name, *answers):
    scripted = ScriptedSender(answers)
    scripted.provider = name
    return scripted


def message(to="ann@example.org", number=1):
    event = Event(id="1", source="/shop", time=NOON, tenant="acme", eventid="e1")
    return Message(f"d{number}", "n1", Channel.EMAIL, "ann", to, "Shipped", "On its way", event)


def flow_of(*senders, time=None, rules=RULES, rate=0.0, metrics=None, concurrency=8):
    time = time or Time()
    guards = Guards(Channel.EMAIL, rules, metrics or Metrics(), 2, time)
    return Flow([Provider(each, guards, concurrency, lambda: NOON, rate, time) for each in senders], time.sleep)


async def no_objection():
    return None


async def ask(flow, **options):
    return await flow.ask(message(), Lane.STANDARD, LATER, no_objection, **options)


def asked(calls):
    return [(call.provider, call.outcome) for call in calls]


@pytest.mark.parametrize("answer", [Accepted("m"), Refused("http_400"), Unknown("timeout")])
async def test_an_answer_that_counts_ends_the_search(answer):
    first, second = sender("first", answer), sender("second")

    assert asked(await ask(flow_of(first, second))) == [("first", answer)]
    assert second.calls == []


async def test_another_provider_stands_in_for_one_that_cannot_now_with_the_same_key():
    first, second = sender("first", DOWN), sender("second", Accepted("m"))

    assert asked(await ask(flow_of(first, second))) == [("first", DOWN), ("second", Accepted("m"))]
    assert first.calls == second.calls == ["d1"]


async def test_when_nobody_can_now_the_last_ones_word_counts():
    busy = NotNow("http_429", timedelta(seconds=30))

    assert asked(await ask(flow_of(sender("first", DOWN), sender("second", busy))))[-1] == ("second", busy)


async def test_nobody_stands_in_for_a_provider_that_may_have_the_message():
    first, second = sender("first", DOWN), sender("second")

    assert asked(await ask(flow_of(first, second), alone=True)) == [("first", DOWN)]


async def test_a_provider_that_fails_is_left_alone_and_another_asked_at_once():
    first, second = sender("first", *[DOWN] * 4), sender("second")
    flow = flow_of(first, second)
    for _ in range(10):
        await ask(flow)

    assert len(first.calls) == 4
    assert len(second.calls) == 10


async def test_without_another_provider_nothing_is_sent_until_the_cool_down_is_over():
    time = Time()
    only = sender("only", *[DOWN] * 4)
    flow = flow_of(only, time=time)
    for _ in range(4):
        await ask(flow)
    time.now = 2.0

    assert await ask(flow) == Withheld("breaker_open", timedelta(seconds=3), stand_in=True)
    assert (await flow.room(100)).calls == 0
    time.now = 5.0
    assert (await flow.room(100)).calls == 1, "one probe"
    assert asked(await ask(flow)) == [("only", Accepted("message-d1"))]
    assert (await flow.room(100)).calls is None
    assert len(only.calls) == 5


async def test_while_half_open_only_the_probes_get_through_however_many_ask():
    time = Time()
    only = sender("only", *[DOWN] * 4)
    flow = flow_of(only, time=time)
    for _ in range(4):
        await ask(flow)
    time.now = 5.0
    go = asyncio.Event()

    async def slow(_message):
        only.calls.append("probe")
        await go.wait()
        return Accepted()

    only.send = slow
    asking = [asyncio.create_task(ask(flow)) for _ in range(8)]
    await eventually(lambda: sum(each.done() for each in asking) == 7)
    go.set()
    results = await asyncio.gather(*asking)

    assert only.calls.count("probe") == 1
    assert sum(isinstance(result, Withheld) for result in results) == 7


async def test_changes_of_the_breaker_are_counted():
    metrics = Metrics()
    flow = flow_of(sender("only", *[DOWN] * 4), metrics=metrics)
    for _ in range(4):
        await ask(flow)

    labels = {"channel": "EMAIL", "provider": "only"}
    value = metrics.registry.get_sample_value
    assert value("sigmora_breaker_moves_total", {**labels, "position": "open"}) == 1
    assert value("sigmora_breakers_open", labels) == 1


async def test_a_call_that_is_cancelled_gives_its_probe_back():
    time = Time()
    only = sender("only", *[DOWN] * 4)
    flow = flow_of(only, time=time)
    for _ in range(4):
        await ask(flow)
    time.now = 5.0
    calls = 0

    async def hang(_message):
        nonlocal calls
        calls += 1
        await asyncio.Event().wait()

    only.send = hang
    asking = asyncio.create_task(ask(flow))
    await eventually(lambda: calls == 1)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    assert (await flow.room(1)).calls == 1


async def test_what_waited_for_a_slot_too_long_is_not_sent():
    only = sender("only")

    found = await flow_of(only).ask(message(), Lane.STANDARD, NOON, no_objection)

    assert found == Withheld("no_slot_in_time")
    assert only.calls == []


async def test_a_defect_of_ours_loses_nothing_and_says_nothing_of_the_provider():
    only = sender("only", *[RuntimeError("defect")] * 5)
    flow = flow_of(only)

    for _ in range(5):
        assert asked(await ask(flow)) == [("only", OUR_DEFECT)]


# endpoints: each host has a guard of its own


class Hooks:
    """Webhook endpoints, of which some hang and some fail."""

    provider = "webhook"

    def __init__(self):
        self.calls = []
        self.let_go = asyncio.Event()

    async def send(self, message):
        self.calls.append(message.to)
        if "hangs" in message.to:
            await self.let_go.wait()
        return DOWN if "fails" in message.to else Accepted()


async def test_a_hanging_endpoint_takes_its_own_slots_and_no_more():
    hooks = Hooks()
    flow = flow_of(hooks, concurrency=16)
    hooked = [message("https://hangs.example/hook", number) for number in range(100)]
    hanging = [asyncio.create_task(flow.ask(each, Lane.STANDARD, LATER, no_objection)) for each in hooked]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sum(each.done() for each in hanging) == 100 - 1 - 20, "only as many wait as will have their turn in time"

    found = await flow.ask(message("https://fine.example/hook"), Lane.STANDARD, LATER, no_objection)

    assert asked(found) == [("webhook", Accepted())]
    assert len([url for url in hooks.calls if "hangs" in url]) <= 2
    hooks.let_go.set()
    results = await asyncio.gather(*hanging)
    assert {each.reason for each in results if isinstance(each, Withheld)} == {"endpoint_busy"}


async def test_a_failing_endpoint_is_left_alone_by_itself():
    hooks = Hooks()
    flow = flow_of(hooks, rules=BreakerRules(minimum=20))
    for _ in range(9):
        await flow.ask(message("https://fails.example/a"), Lane.STANDARD, LATER, no_objection)
    found = await flow.ask(message("https://fine.example/b"), Lane.STANDARD, LATER, no_objection)

    assert hooks.calls.count("https://fails.example/a") == 5, "a quarter of what a provider needs"
    assert asked(found) == [("webhook", Accepted())]
    assert (await flow.room(100)).calls is None, "nobody knows before the claim where messages go"


def test_endpoints_that_nobody_uses_are_forgotten():
    time = Time()
    guards = Guards(Channel.WEBHOOK, RULES, Metrics(), 2, time)
    kept = guards.of("webhook", "used.example")
    for number in range(30_000):
        time.now = number / 100
        guards.of("webhook", f"host-{number}.example").breaker.admit(time.now)
        kept.breaker.report(kept.breaker.admit(time.now), True, time.now)

    assert len(guards) <= 10_001
    assert guards.of("webhook", "used.example") is kept


@pytest.mark.parametrize(
    ("provider", "to", "host"),
    [
        ("webhook", "https://user:secret@Shop.example:8443/hook?x=1", "shop.example:8443"),
        ("webhook", "https://shop.example", "shop.example"),
        ("webhook", "https://[broken", ""),
        ("webpush", '{"endpoint": "https://push.example/abc", "keys": {}}', "push.example"),
        ("webpush", "{not json", ""),
        ("webpush", "[]", ""),
        ("http", "ann@example.org", ""),
    ],
)
def test_the_host_of_a_message_is_known_where_customers_choose_it(provider, to, host):
    assert host_of(provider, message(to)) == host


async def test_a_sender_that_two_providers_share_is_asked_once():
    """Browsers have their own way, whichever provider serves devices."""
    browsers = sender("webpush", DOWN, DOWN)
    first, second = (Choice(name, lambda _message: browsers) for name in ("http+webpush", "fcm+webpush"))

    assert asked(await ask(flow_of(first, second))) == [("webpush", DOWN)]


# rates


async def test_a_rate_holds_back_what_could_not_be_sent_soon():
    time = Time()
    flow = flow_of(sender("only"), time=time, rate=10.0)

    room = await flow.room(100)

    assert room.calls == 20, "two seconds' worth"


async def test_calls_keep_the_rate():
    moments = []
    loop = asyncio.get_running_loop()
    guards = Guards(Channel.EMAIL, RULES, Metrics())
    only = sender("only")
    flow = Flow([Provider(only, guards, 8, lambda: NOON, 200.0)])

    async def one(number):
        await flow.ask(message(number=number), Lane.STANDARD, LATER, no_objection)
        moments.append(loop.time())

    await asyncio.gather(*(one(number) for number in range(60)))

    assert moments[-1] - moments[0] >= (60 - 20 - 1) / 200.0, "the burst is a tenth of a second's worth"
    assert len(only.calls) == 60


async def test_within_a_rate_the_urgent_goes_first():
    """A code does not wait for the tokens of a newsletter that came before it."""
    order = []
    guards = Guards(Channel.EMAIL, RULES, Metrics())
    provider = Provider(sender("only"), guards, 64, lambda: NOON, 50.0)

    async def one(lane, number):
        await provider.ask(message(number=number), lane, LATER, no_objection)
        order.append(lane)

    newsletter = [asyncio.create_task(one(Lane.BULK, number)) for number in range(20)]
    await eventually(lambda: provider.slots.waiting > 5)
    await one(Lane.CRITICAL, 99)
    await asyncio.gather(*newsletter)

    assert order.index(Lane.CRITICAL) < 15


@pytest.mark.parametrize(
    ("outcome", "healthy"),
    [
        (Accepted(), True),
        (Refused("http_400"), True),
        (Refused("smtp_550"), True),
        (Refused("blocked_address"), None),
        (Refused("invalid_url"), None),
        (NotNow("http_429", timedelta(seconds=1)), None),
        (NotNow("http_408"), None),
        (NotNow("smtp_450"), None),
        (NotNow("rate_limited"), None),
        (NotNow("quota_exceeded"), None),
        (NotNow("smtp_421"), False),
        (NotNow("http_401"), False),
        (NotNow("http_403"), False),
        (NotNow("http_503"), False),
        (NotNow("connect"), False),
        (NotNow("dns"), False),
        (NotNow("account_suspended"), False),
        (Unknown("timeout"), False),
        (Unknown("http_500"), False),
        (OUR_DEFECT, None),
    ],
)
def test_what_an_outcome_says_about_the_provider(outcome, healthy):
    assert is_healthy(outcome) is healthy


async def test_a_recipient_who_objects_while_a_message_waits_gets_no_call():
    """It had been cleared before it waited for its turn; nobody may stand in either."""
    first, second = sender("first", Accepted("1")), sender("second", Accepted("2"))
    no = Withdrawn("unsubscribed", step=Settle(State.SUPPRESSED, "unsubscribed"))

    async def objection():
        return no

    found = await flow_of(first, second).ask(message(), Lane.STANDARD, LATER, objection)

    assert found == no
    assert (first.calls, second.calls) == ([], [])
