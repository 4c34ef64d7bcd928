"""What matching costs: the index against a scan of all filters with the same `matches`.

    uv run python tests/bench/bench_matching.py [subscriptions] [--filters distinct|shared]

Synthetic and uniform: 200 topics, 3 priorities, 20 categories, 40 countries. `distinct` filters restrict a topic, and
each of the others with a probability of 3 in 4 or 4 in 5, so that an event matches about 132 of a million; `shared`
ones leave out the country and collapse into some ten thousand. Prints medians; run it on a quiet machine.
"""

import argparse
import gc
import random
import resource
import statistics
import time
from collections.abc import Iterator
from functools import cache

from typer import echo

from libs.common.domain.index import IndexedSubscriber, Profile, Subscription, SubscriptionIndex
from libs.common.domain.pattern import Fields, Pattern, flatten, matches, parse, pattern_of_preferences

TOPICS, PRIORITIES, CATEGORIES, COUNTRIES = 200, 3, 20, 40
PROFILES = [Profile(channels=("EMAIL",)), Profile(channels=("EMAIL", "INAPP")), Profile(channels=("PUSH",))]
EVENTS, SCANNED = 2_000, 5


@cache
def pattern_of(topic: int, priority: int | None, category: int | None, country: int | None) -> Pattern:
    """The parsed filter; equal ones once, since it is matching that is measured and not parsing."""
    source = pattern_of_preferences(
        topic=[f"topic-{topic}"],
        priority=[] if priority is None else [f"priority-{priority}"],
        category=[] if category is None else [f"category-{category}"],
    )
    assert source is not None
    if country is not None:
        source["data"] = {"country": [f"country-{country}"]}
    return parse(source)


def make_subscribers(count: int, distinct: bool, chance: random.Random) -> Iterator[IndexedSubscriber]:
    for ordinal in range(count):
        pattern = pattern_of(
            chance.randrange(TOPICS),
            chance.randrange(PRIORITIES) if chance.random() < 0.75 else None,
            chance.randrange(CATEGORIES) if chance.random() < 0.8 else None,
            chance.randrange(COUNTRIES) if distinct and chance.random() < 0.8 else None,
        )
        profile = chance.choice(PROFILES)
        yield IndexedSubscriber(
            f"subscriber-{ordinal}", ordinal, 1, True, (Subscription("default", pattern, profile),), profile
        )


def make_event(chance: random.Random) -> Fields:
    return flatten(
        {
            "topic": f"topic-{chance.randrange(TOPICS)}/below",
            "priority": f"priority-{chance.randrange(PRIORITIES)}",
            "category": f"category-{chance.randrange(CATEGORIES)}",
            "source": "shop",
            "data": {"country": f"country-{chance.randrange(COUNTRIES)}", "amount": chance.random()},
        }
    )


def resident() -> int:
    """Peak memory of this process, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("subscriptions", type=int, nargs="?", default=100_000)
    arguments.add_argument("--filters", choices=("distinct", "shared"), default="distinct")
    given = arguments.parse_args()
    chance = random.Random(7)
    subscribers = list(make_subscribers(given.subscriptions, given.filters == "distinct", chance))
    gc.collect()
    gc.freeze()

    index = SubscriptionIndex()
    before = resident()
    started = time.perf_counter()
    for subscriber in subscribers:
        index.put("acme", subscriber)
    loading = time.perf_counter() - started
    echo(f"{index.counts()}")
    echo(f"put, new          {loading / given.subscriptions * 1e6:8.1f} us each")
    echo(f"memory            {(resident() - before) / given.subscriptions:8.0f} bytes per subscription, all included")

    changed = list(make_subscribers(20_000, given.filters == "distinct", chance))
    started = time.perf_counter()
    for subscriber in changed:
        one = subscriber.subscriptions
        index.put("acme", IndexedSubscriber(subscriber.id, subscriber.ordinal, 2, True, one, subscriber.profile))
    echo(f"put, changed      {(time.perf_counter() - started) / len(changed) * 1e6:8.1f} us each")

    events = [make_event(chance) for _ in range(EVENTS)]
    matched, costs = [], []
    for _ in range(5):
        started = time.perf_counter()
        for fields in events:
            found = index.match("acme", fields)
        costs.append((time.perf_counter() - started) / EVENTS * 1e6)
    for fields in events:
        found = index.match("acme", fields)
        matched.append(sum(len(ordinals) for _, ordinals in found))
    cost = statistics.median(costs)
    echo(f"match, index      {cost:8.1f} us per event (best {min(costs):.1f}), {statistics.mean(matched):.1f} matches")

    current = [index.subscriber("acme", subscriber.id) for subscriber in subscribers]
    started = time.perf_counter()
    scanned = [
        sum(matches(one.subscriptions[0].pattern, fields) for one in current if one is not None)
        for fields in events[:SCANNED]
    ]
    scan = (time.perf_counter() - started) / SCANNED * 1e6
    assert scanned == matched[:SCANNED], "the index and the scan disagree"
    echo(f"match, naive scan {scan:8.0f} us per event: {scan / cost:.0f} times the index")


if __name__ == "__main__":
    main()
