"""The index answers what a scan of all filters answers, through any history of changes."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pyroaring import BitMap

from libs.common.domain.index import IndexedSubscriber, Profile, Subscription, SubscriptionIndex
from libs.common.domain.pattern import EVERYTHING, Fields, Pattern, flatten, matches, parse, pattern_of_preferences

PROFILES = [
    Profile(channels=("EMAIL",)),
    Profile(channels=("EMAIL", "INAPP"), windows=("08:00-20:00",)),
    Profile(channels=("PUSH",), time_zone="Europe/Oslo"),
]
TENANTS = ["acme", "globex"]
IDS = [f"s{number}" for number in range(6)]
TOPICS = ["sports", "sports/football", "sportsman", "tech", "::1", "0:0:0:0:0:0:0:1", "10.0.0.1", "", "1"]

values = st.sampled_from(TOPICS) | st.sampled_from([1, 1.0, 2, True, None, 2**53 + 1])
alternatives = st.one_of(
    values,
    values,
    st.sampled_from(["sports/", "s", "", "1", "t"]).map(lambda text: {"prefix": text}),
    st.sampled_from(["ball", "s", "", "1", "/football"]).map(lambda text: {"suffix": text}),
    st.booleans().map(lambda exists: {"exists": exists}),
    st.sampled_from(
        [
            {"suffix": {"equals-ignore-case": "BALL"}},
            {"anything-but": "sports"},
            {"anything-but": [1]},
            {"wildcard": "s*s"},
            {"numeric": [">", 1]},
            {"numeric": ["=", 1]},
            {"cidr": "10.0.0.0/8"},
            {"equals-ignore-case": "TECH"},
        ]
    ),
)
conditions = st.lists(alternatives, min_size=1, max_size=3)
paths = st.sampled_from(["topic", "priority", "i.a", "i.b", "i.j.c"])
rules = st.dictionaries(paths, conditions, min_size=1, max_size=3)
choices = st.builds(
    lambda branches, rest: {**rest, "$or": branches}, st.lists(rules, min_size=2, max_size=3), rules | st.just({})
)
preferences = st.builds(
    lambda topic, priority: pattern_of_preferences(topic=topic, priority=priority),
    st.lists(st.sampled_from(TOPICS), max_size=2),
    st.lists(st.sampled_from(["high", "low"]), max_size=1),
)
patterns = st.one_of(
    st.just(EVERYTHING),
    rules.map(parse),
    choices.map(parse),
    preferences.map(lambda source: EVERYTHING if source is None else parse(source)),
)

elements = st.dictionaries(st.sampled_from("ab"), values, max_size=2) | st.builds(
    lambda inner, rest: {"j": inner, **rest},
    st.lists(st.dictionaries(st.just("c"), values, max_size=1), max_size=2),
    st.dictionaries(st.sampled_from("ab"), values, max_size=2),
)
events = st.fixed_dictionaries(
    {},
    optional={
        "topic": values | st.lists(values, max_size=2),
        "priority": st.sampled_from(["high", "low", 1]),
        "i": elements | st.lists(elements, max_size=3) | st.lists(st.lists(elements, max_size=2), max_size=2),
        "other": values,
    },
).map(flatten)

subscriptions = st.builds(Subscription, st.sampled_from(["default", "more"]), patterns, st.sampled_from(PROFILES))
versions = st.integers(1, 6)

Answer = list[tuple[Profile, set[int]]]


def by_profile(found: list[tuple[Profile, BitMap]]) -> Answer:
    return sorted(((profile, set(ordinals)) for profile, ordinals in found), key=lambda entry: repr(entry[0]))


def scan(subscribers: dict[str, IndexedSubscriber], fields: Fields) -> Answer:
    """The naive answer."""
    found: dict[Profile, set[int]] = {}
    for subscriber in subscribers.values():
        for one in subscriber.subscriptions:
            if subscriber.active and matches(one.pattern, fields):
                found.setdefault(one.profile, set()).add(subscriber.ordinal)
    return sorted(found.items(), key=lambda entry: repr(entry[0]))


class Histories(RuleBasedStateMachine):
    """Puts, replacements and removals of a few subscribers of two tenants, versions in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.index = SubscriptionIndex()
        self.held: dict[str, dict[str, IndexedSubscriber]] = {tenant: {} for tenant in TENANTS}
        self.removed: dict[tuple[str, str], int] = {}

    @rule(
        tenant=st.sampled_from(TENANTS),
        subscriber_id=st.sampled_from(IDS),
        version=versions,
        active=st.sampled_from([True, True, True, False]),
        moved=st.sampled_from([0, 0, 0, 100]),
        wanted=st.lists(subscriptions, max_size=3).map(tuple),
    )
    def put(self, tenant: str, subscriber_id: str, version: int, active: bool, moved: int, wanted: Any) -> None:
        ordinal = IDS.index(subscriber_id) + moved
        subscriber = IndexedSubscriber(subscriber_id, ordinal, version, active, wanted, PROFILES[0])
        known = self.held[tenant].get(subscriber_id)
        newest = known.version if known else self.removed.get((tenant, subscriber_id), 0)
        assert self.index.put(tenant, subscriber) is (version > newest)
        if version > newest:
            self.held[tenant][subscriber_id] = subscriber
            self.removed.pop((tenant, subscriber_id), None)

    @rule(tenant=st.sampled_from(TENANTS), subscriber_id=st.sampled_from(IDS), version=versions | st.none())
    def remove(self, tenant: str, subscriber_id: str, version: int | None) -> None:
        known = self.held[tenant].get(subscriber_id)
        outdated = known is not None and version is not None and version < known.version
        assert self.index.remove(tenant, subscriber_id, version) is (known is not None and not outdated)
        if not outdated:
            self.held[tenant].pop(subscriber_id, None)
            if version is not None:
                key = (tenant, subscriber_id)
                self.removed[key] = max(version, self.removed.get(key, 0))

    @rule(tenant=st.sampled_from(TENANTS), fields=events)
    def match(self, tenant: str, fields: Fields) -> None:
        assert by_profile(self.index.match(tenant, fields)) == scan(self.held[tenant], fields)

    @invariant()
    def it_knows_whom_it_holds(self) -> None:
        for tenant, held in self.held.items():
            for subscriber_id in IDS:
                assert self.index.subscriber(tenant, subscriber_id) == held.get(subscriber_id)
            ordinals = [subscriber.ordinal for subscriber in held.values()]
            assert self.index.subscriber_ids(tenant, ordinals) == list(held)
        everyone = [subscriber for held in self.held.values() for subscriber in held.values()]
        active = [(one.pattern, one.profile) for each in everyone if each.active for one in each.subscriptions]
        counts = self.index.counts()
        assert (counts.subscribers, counts.subscriptions) == (len(everyone), len(active))
        filters = [
            {(one.pattern, one.profile) for each in held.values() if each.active for one in each.subscriptions}
            for held in self.held.values()
        ]
        assert counts.filters == sum(map(len, filters))


Histories.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestHistories = Histories.TestCase


@settings(max_examples=400, deadline=None)
@given(st.lists(patterns, min_size=1, max_size=12), st.lists(events, min_size=1, max_size=4), st.data())
def test_many_filters_answer_like_the_scan_before_and_after_some_leave(
    wanted: list[Pattern], happened: list[Fields], data: st.DataObject
) -> None:
    index = SubscriptionIndex()
    held = {
        f"s{number}": IndexedSubscriber(
            f"s{number}", number, 1, True, (Subscription("x", one, PROFILES[number % 2]),), PROFILES[0]
        )
        for number, one in enumerate(wanted)
    }
    for subscriber in held.values():
        index.put("acme", subscriber)
    for fields in happened:
        assert by_profile(index.match("acme", fields)) == scan(held, fields)
    for gone in data.draw(st.sets(st.sampled_from(sorted(held)))):
        index.remove("acme", gone)
        del held[gone]
    for fields in happened:
        assert by_profile(index.match("acme", fields)) == scan(held, fields)
