"""How punctual retries are: so many deliveries wait in mixed tiers of a real Kafka, before the gate as in production;
none may come early, and how late they come should not depend on how many wait.

    python -m tests.bench.bench_retries --pending 10 10000 --rate 250

All wait before the first falls due; then they fall due at an even rate, which must be one that the database sustains
(each costs it an insert and an update), or its queue is measured. Lateness is taken at two places: where the gate lets
a delivery go, and where the provider gets it, behind claim and consent. Prints a JSON line for each number.
"""

import argparse
import asyncio
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from deploy.local.servers import StackAddress
from libs.common.domain.channels import MAIN_ENDPOINT, Channel
from libs.common.domain.messages import RetryDelivery
from libs.common.testing.waiting import eventually
from services.dispatcher.retry_line import RetryLine
from tests.bench.dispatching import Bench, Stub, bench_stack, delivery_of, event_of, open_bench, percentiles

TIERS = tuple(timedelta(seconds=seconds) for seconds in (2, 5, 10, 20))
CHANNEL = Channel.EMAIL


def retries(bench: Bench, pending: int, first_due: datetime, rate: float) -> dict[str, tuple[str, RetryDelivery]]:
    """(topic, record) by delivery id, in the order in which they fall due; every tier has its share."""
    found: dict[str, tuple[str, RetryDelivery]] = {}
    for number in range(pending):
        event = event_of(number)
        delivery = delivery_of(event, "ann", CHANNEL)
        found[delivery] = (
            bench.topics.retry(CHANNEL, number % len(TIERS) + 1),
            RetryDelivery(
                event=event,
                channel=CHANNEL,
                delivery_id=delivery,
                subscriber_id="ann",
                endpoint=MAIN_ENDPOINT,
                attempt=2,
                due_at=first_due + timedelta(seconds=number / rate),
                first_at=first_due,
            ),
        )
    return found


async def measure(stack: StackAddress, pending: int, rate: float, lead: float) -> dict[str, Any]:
    """Lateness of every delivery, in milliseconds."""
    async with open_bench(stack, (CHANNEL,), TIERS) as bench:
        await bench.subscribe("ann")
        stub, released = Stub(), {}
        async with bench.dispatcher({CHANNEL: stub}) as wiring:
            [line] = [each for each in wiring.lines if isinstance(each, RetryLine)]
            enqueue = line._enqueue

            def note(entry: Any) -> None:
                released[entry.record.key.decode()] = time.time()
                enqueue(entry)

            line.gate._release = note
            given = retries(bench, pending, datetime.now(UTC) + timedelta(seconds=lead), rate)
            await bench.append((topic, record, id_) for id_, (topic, record) in given.items())
            await eventually(lambda: len(line.gate) + len(released) == pending, lead)
            most = len(line.gate)
            await eventually(lambda: len(stub.accepted) == pending, lead + 10 * pending / rate + 30)
    due = {id_: record.due_at.timestamp() for id_, (_, record) in given.items()}
    return {
        "pending": pending,
        "waiting_at_once": most,
        "due_per_second": rate,
        "early": sum(stub.offered[id_] < due[id_] for id_ in due),
        "late_at_gate_ms": percentiles([released[id_] - due[id_] for id_ in due]),
        "late_at_provider_ms": percentiles([stub.offered[id_] - due[id_] for id_ in due]),
    }


def main() -> int:
    """Run and print JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pending", type=int, nargs="+", default=[10, 10_000])
    parser.add_argument("--rate", type=float, default=250, help="deliveries that fall due a second")
    parser.add_argument("--lead", type=float, default=20, help="seconds for all to be waiting before the first is due")
    given = parser.parse_args()
    with bench_stack() as stack:
        for pending in given.pending:
            report = asyncio.run(measure(stack, pending, given.rate, given.lead))
            sys.stdout.write(json.dumps(report) + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
