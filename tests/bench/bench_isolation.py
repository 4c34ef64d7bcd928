"""Whether trouble stays where it is. Two questions, each answered by runs with and without trouble, in turn:

    channels   one channel's provider hangs, at 30 % of the load: what throughput do the other channels keep?
    failures   20 % of the requests to a provider fail (every fourth message, once): how much later are the others sent?

    python -m tests.bench.bench_isolation --rounds 3

The first puts a backlog on the log and measures deliveries a second until the healthy channels are done; the second
sends at an even rate (open loop) and takes the time from the log to the provider's acceptance. A JSON line for each run
and one for each ratio.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

from deploy.local.servers import StackAddress
from libs.common.domain.channels import Channel, Lane
from libs.common.domain.messages import DeliveryBatch
from libs.common.domain.outcome import Accepted, NotNow, Outcome, Unknown
from libs.common.testing.waiting import eventually
from services.dispatcher.channels.base import Message
from services.dispatcher.line import LineLimits
from tests.bench.dispatching import Bench, Stub, bench_stack, delivery_of, event_of, open_bench, percentiles

TIERS = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 4, 8, 16))
PEOPLE = [f"person-{number}" for number in range(20)]
CHANNELS = {Channel.EMAIL: 0.3, Channel.SMS: 0.35, Channel.INAPP: 0.35}
"""And their parts of the load; the first is the one in trouble."""


async def hang(_message: Message) -> Outcome:
    """As a provider that takes a request and never answers, until our deadline."""
    await asyncio.sleep(5)
    return Unknown("timeout")


async def take_a_while(_message: Message) -> Outcome:
    """As a provider in another town."""
    await asyncio.sleep(0.02)
    return Accepted("m")


async def throughput(stack: StackAddress, total: int, *, hanging: bool) -> dict[str, Any]:
    """Deliveries a second of the healthy channels, from a backlog of `total` on three."""
    trouble, *healthy = CHANNELS
    async with open_bench(stack, tuple(CHANNELS), TIERS) as bench:
        await bench.subscribe(*PEOPLE)
        stubs = {channel: Stub(take_a_while) for channel in CHANNELS}
        if hanging:
            stubs[trouble].behave = hang
        async with bench.dispatcher(stubs) as wiring:
            for line in wiring.lines:  # what hangs at the end is not waited for
                line._limits = _impatient(line._limits)
            started = time.time()
            batches = {channel: int(total * share / len(PEOPLE)) for channel, share in CHANNELS.items()}
            order = sorted((number / count, channel) for channel, count in batches.items() for number in range(count))
            for number, (_, channel) in enumerate(order):
                await publish(bench, number, channel, PEOPLE)
            for channel in healthy:
                wanted = batches[channel] * len(PEOPLE)
                await eventually(lambda stub=stubs[channel], wanted=wanted: len(stub.accepted) == wanted, 300)
            ended = max(max(stubs[channel].accepted.values()) for channel in healthy)
            done = sum(batches[channel] for channel in healthy) * len(PEOPLE)
            calls = len(stubs[trouble].offered)
    return {"hanging": hanging, "healthy": done, "per_second": round(done / (ended - started), 1), "trouble": calls}


async def latency(
    stack: StackAddress, rate: float, seconds: float, *, failing: bool, hopeless: bool = False
) -> dict[str, Any]:
    """Latency of the messages that do not fail, at `rate` a second."""
    bad: set[str] = set()

    async def behave(message: Message) -> Outcome:
        await asyncio.sleep(0.02)
        if message.delivery_id not in bad:
            return Accepted("m")
        if not hopeless:
            bad.discard(message.delivery_id)
        return NotNow("http_503")

    async with open_bench(stack, (Channel.EMAIL,), TIERS) as bench:
        await bench.subscribe(*PEOPLE)
        stub, sent = Stub(behave), {}
        async with bench.dispatcher({Channel.EMAIL: stub}):
            for number in range(50):  # connections, code paths
                await publish(bench, -1 - number, Channel.EMAIL, PEOPLE[:1])
            await eventually(lambda: len(stub.accepted) == 50, 60)
            start = time.monotonic()
            for number in range(round(rate * seconds)):
                await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
                person = PEOPLE[number % len(PEOPLE)]
                delivery = delivery_of(event_of(number), person, Channel.EMAIL)
                if number % 4 == 0:
                    if failing:
                        bad.add(delivery)
                else:
                    sent[delivery] = time.time()
                await publish(bench, number, Channel.EMAIL, [person])
            await eventually(lambda: sent.keys() <= stub.accepted.keys(), 120)
            found = percentiles([stub.accepted[each] - at for each, at in sent.items()])
    return {"failing": failing, "rate": rate, "healthy": len(sent), "latency_ms": found}


async def publish(bench: Bench, number: int, channel: Channel, people: list[str]) -> None:
    """One event for some people, on its way when this returns."""
    batch = DeliveryBatch(event=event_of(number), channel=channel, subscribers=tuple(people))
    await bench.append([(bench.topics.deliveries(channel, Lane.STANDARD), batch, str(number))])


def _impatient(limits: LineLimits) -> LineLimits:
    return replace(limits, drain_at_stop=0.2)


def _tell(report: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run and print JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--total", type=int, default=6_000, help="deliveries of the backlog")
    parser.add_argument("--rate", type=float, default=60, help="messages a second of the open loop")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument(
        "--hopeless", action="store_true", help="what fails does so at every try: two thirds of the calls"
    )
    given = parser.parse_args()
    channels: dict[bool, list[float]] = {False: [], True: []}
    failures: dict[bool, list[float]] = {False: [], True: []}
    with bench_stack() as stack:
        for _ in range(given.rounds):
            for trouble in (False, True):
                one = asyncio.run(throughput(stack, given.total, hanging=trouble))
                channels[trouble].append(one["per_second"])
                _tell(one)
        for _ in range(given.rounds):
            for trouble in (False, True):
                two = asyncio.run(latency(stack, given.rate, given.seconds, failing=trouble, hopeless=given.hopeless))
                failures[trouble].append(two["latency_ms"]["p99"])
                _tell(two)
    kept = statistics.median(channels[True]) / statistics.median(channels[False])
    grown = statistics.median(failures[True]) / statistics.median(failures[False])
    _tell({"healthy_throughput_kept": round(kept, 2), "healthy_p99_grown": round(grown, 2), "rounds": given.rounds})
    return 0


if __name__ == "__main__":
    sys.exit(main())
