"""Flow control on a real Kafka and a real database: providers that are down, hang, or cannot be understood."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import msgspec
import pytest

from deploy.simulator import Settings as SimulatorSettings
from deploy.simulator import Simulator
from deploy.simulator.rules import DropAfterAccept, DropBefore, Rule
from libs.common.domain import keys
from libs.common.domain.channels import Channel, Lane
from libs.common.domain.retry import UnknownPolicy
from libs.common.settings import EnvironmentSettings
from libs.common.testing.providers import answers, hangs, provider
from libs.common.testing.waiting import eventually
from services.dispatcher.flow_settings import EmailFlow
from services.dispatcher.settings import (
    DispatchSettings,
    EmailSettings,
    FlowSettings,
    ProviderSettings,
    WebhookSettings,
)

pytestmark = pytest.mark.integration

DOWN = answers("503 Later")
SECRET = "whsec_c2lnbW9yYSBzaW11bGF0b3IgZXhhbXBsZQ=="
QUICK = {
    "breaker_minimum_calls": 10,
    "breaker_cool_down": timedelta(milliseconds=300),
    "breaker_probes": 1,
}


def change(town, **groups):
    """The town, with other settings."""
    town.settings = town.settings.model_copy(update=groups)
    return town


async def publish_to(town, people, size=20):
    return [
        mail
        for start in range(0, len(people), size)
        for mail in await town.publish(*people[start : start + size], event=town.event())
    ]


async def test_a_provider_that_is_down_is_left_alone_and_nothing_dies_or_doubles(town):
    """120 deliveries and three attempts each; what is put off meanwhile keeps them."""
    people = await town.people(*(f"person-{number}" for number in range(120)))
    change(town, flow=FlowSettings(**QUICK), provider=ProviderSettings(timeout_ms=1000, concurrency=8))
    town.provider.always = DOWN
    async with town.dispatcher() as wiring:
        mails = await publish_to(town, people)
        value = wiring.metrics.registry.get_sample_value
        labels = {"channel": "EMAIL", "reason": "breaker_open"}
        await eventually(lambda: (value("sigmora_put_off_total", labels) or 0) > 100)
        assert len(town.provider.keys) < 60, "an open breaker lets nothing through but its probes"
        town.provider.always = answers("200 OK", b'{"provider_message_id": "m"}')
        await town.until("SENT", *mails)

    accepted = [each for each in mails if (await town.delivery(each))["attempts"][-1]["answer"] == "accepted"]
    assert len(accepted) == 120
    assert await town.log.read(town.topics.dead(Channel.EMAIL)) == []


async def test_another_provider_stands_in_within_the_same_attempt(town):
    await town.people("ann")
    town.provider.always = DOWN
    async with provider() as spare:
        change(town, flow=FlowSettings(email=EmailFlow(failover_base_url=spare.url, failover_api_key="other")))
        async with town.dispatcher():
            [mail] = await town.publish("ann")
            await town.until("SENT", mail)

        found = await town.delivery(mail)
        assert [(each["number"], each["provider"]) for each in found["attempts"]] == [(1, "http_failover")]
        assert town.provider.keys == spare.keys == [mail]
        assert spare.requests[0][0]["authorization"] == "Bearer other"


async def test_nobody_stands_in_for_a_provider_that_hangs(town):
    await town.people("ann")
    town.provider.script.append(hangs)
    async with provider() as spare:
        change(town, flow=FlowSettings(email=EmailFlow(failover_base_url=spare.url)))
        async with town.dispatcher():
            [mail] = await town.publish("ann")
            await town.until("SENT", mail)

        assert spare.keys == []
        assert town.provider.keys == [mail, mail]


@asynccontextmanager
async def simulated(town, policy):
    """A dispatcher whose e-mail goes to the simulator."""
    ports = {f"{name}_port": 0 for name in ("email", "sms", "push", "webhook", "smtp")}
    async with Simulator(SimulatorSettings(api_key="key", **ports)) as simulator:
        change(
            town,
            email=EmailSettings(provider_base_url=simulator.url("email"), provider_api_key="key"),
            flow=FlowSettings(email=EmailFlow(unknown_policy=policy)),
        )
        async with town.dispatcher():
            yield simulator


@pytest.mark.parametrize(("fault", "calls"), [(DropAfterAccept(), 1), (DropBefore(), 2)], ids=["taken", "not taken"])
async def test_a_provider_is_asked_before_a_message_in_doubt_is_sent_again(town, fault, calls):
    await town.people("ann")
    async with simulated(town, UnknownPolicy.QUERY) as simulator:
        simulator.faults.add(Rule(action=fault, times=1))
        [mail] = await town.publish("ann")
        await town.until("SENT", mail)

        assert len(simulator.inbox.attempts) == calls
        assert len(simulator.inbox.messages) == 1
        assert (await town.delivery(mail))["provider_message_id"] == simulator.inbox.messages[0].id


async def test_where_the_policy_says_park_nothing_is_sent_again(town):
    await town.people("ann", "ben")
    async with simulated(town, UnknownPolicy.PARK) as simulator:
        simulator.faults.add(Rule(action=DropAfterAccept(), times=1))
        [parked] = await town.publish("ann")
        await town.until("UNKNOWN", parked)
        [after] = await town.publish("ben")
        await town.until("SENT", after)

        assert await town.states(parked) == ["UNKNOWN"]
        assert [each.delivery_id for each in simulator.inbox.attempts] == [parked, after]


async def hook(town, name, url):
    webhooks = [{"endpoint": "hook", "url": f"{url}/hook", "secrets": [SECRET], "disabled_reason": ""}]
    await asyncio.to_thread(
        town.database.subscribers.update_one, {"_id": f"acme:{name}"}, {"$set": {"webhooks": webhooks}}
    )


async def test_a_hanging_webhook_holds_up_no_other_one(town):
    """Sixty deliveries to an endpoint that hangs stand before, between and behind sixty to one that works."""
    names = await town.people(*(f"person-{number}" for number in range(120)))
    async with provider() as fine, provider() as black_hole:
        black_hole.always = hangs
        for number, name in enumerate(names):
            await hook(town, name, (black_hole if number % 2 else fine).url)
        change(
            town,
            environment=EnvironmentSettings(env="dev"),
            dispatch=DispatchSettings(channels=(Channel.WEBHOOK,)),
            provider=ProviderSettings(timeout_ms=30_000, concurrency=16),
            flow=FlowSettings(),
            webhook=WebhookSettings(
                allow_http=True,
                allow_private=True,
                allowed_ports=tuple(urlsplit(each.url).port for each in (fine, black_hole)),
            ),
        )
        event = town.event()
        ids = [keys.delivery_id(event.eventid, each, Channel.WEBHOOK, "hook") for each in names]
        async with town.dispatcher() as wiring:
            for line in wiring.lines:
                line._limits = replace(line._limits, drain_at_stop=0.2)
            await town.publish(*names[:60], channel=Channel.WEBHOOK, event=event)
            await town.publish(*names[60:], channel=Channel.WEBHOOK, event=event)
            await town.until("SENT", *ids[::2])

            assert "SENT" not in await town.states(*ids[1::2])
            assert len(black_hole.requests) <= 8, "its own slots and no more"


async def test_a_stop_while_a_provider_hangs_commits_nothing_and_the_next_process_sends_it(town):
    """The call outlives the time to drain; its record is read again and waits for the lease."""
    change(
        town,
        provider=ProviderSettings(timeout_ms=1500),
        dispatch=DispatchSettings(channels=(Channel.EMAIL,), lease=timedelta(seconds=4)),
    )
    await town.people("ann")
    town.provider.script.append(hangs)
    group, topic = (
        f"{town.topics.prefix}dispatcher.email.standard",
        town.topics.deliveries(Channel.EMAIL, Lane.STANDARD),
    )
    async with town.dispatcher() as wiring:
        for line in wiring.lines:
            line._limits = replace(line._limits, drain_at_stop=0.1)
        [mail] = await town.publish("ann")
        await eventually(lambda: len(town.provider.keys) == 1)

    assert sum((await town.log.committed(group, topic)).values()) == 0
    assert await town.states(mail) == ["SENDING"]
    async with town.dispatcher():
        await town.until("SENT", mail)
    assert town.provider.keys == [mail, mail]
    assert town.provider.effects[mail] == 1
    statuses = [msgspec.json.decode(each.value)["data"]["state"] for each in await town.log.read(town.topics.status)]
    assert statuses == ["SENT"]
