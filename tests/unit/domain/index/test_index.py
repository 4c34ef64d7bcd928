"""The index, rule by rule."""

import random

import pytest
from pyroaring import BitMap

from libs.common.domain.index import Counts, IndexedSubscriber, Profile, Subscription, SubscriptionIndex
from libs.common.domain.pattern import EVERYTHING, flatten, matches, parse

MAIL = Profile(channels=("EMAIL",))
PUSH = Profile(channels=("PUSH",))


def subscriber(number: int, *wanted: Subscription, version: int = 1, active: bool = True) -> IndexedSubscriber:
    return IndexedSubscriber(f"s{number}", number, version, active, wanted, MAIL)


def wants(topic: str, profile: Profile = MAIL) -> Subscription:
    return Subscription("default", parse({"topic": [topic, {"prefix": topic + "/"}]}), profile)


def who(index: SubscriptionIndex, event: dict, tenant: str = "acme") -> dict[Profile, list[int]]:
    return {profile: list(ordinals) for profile, ordinals in index.match(tenant, flatten(event))}


def test_a_topic_covers_the_topics_below_it() -> None:
    index = SubscriptionIndex()
    index.put("acme", subscriber(1, wants("sports")))
    index.put("acme", subscriber(2, wants("sports/football")))
    assert who(index, {"topic": "sports"}) == {MAIL: [1]}
    assert who(index, {"topic": "sports/football"}) == {MAIL: [1, 2]}
    assert who(index, {"topic": "sportsman"}) == {}


def test_a_subscriber_may_stand_under_several_profiles() -> None:
    index = SubscriptionIndex()
    index.put("acme", subscriber(1, wants("sports"), wants("sports", PUSH), Subscription("all", EVERYTHING, PUSH)))
    assert who(index, {"topic": "sports"}) == {MAIL: [1], PUSH: [1]}
    assert who(index, {"topic": "tech"}) == {PUSH: [1]}


def test_an_inactive_subscriber_is_known_and_never_matched() -> None:
    index = SubscriptionIndex()
    index.put("acme", subscriber(1, wants("sports")))
    index.put("acme", subscriber(1, wants("sports"), version=2, active=False))
    assert who(index, {"topic": "sports"}) == {}
    assert index.subscriber("acme", "s1") == subscriber(1, wants("sports"), version=2, active=False)
    assert index.subscriber_ids("acme", [1]) == ["s1"]


def test_tenants_never_see_each_other() -> None:
    index = SubscriptionIndex()
    index.put("acme", subscriber(1, wants("sports")))
    index.put("globex", subscriber(1, wants("tech")))
    assert who(index, {"topic": "sports"}, "globex") == {}
    assert who(index, {"topic": "sports"}, "nobody") == {}
    assert index.subscriber("nobody", "s1") is None
    assert index.subscriber_ids("nobody", [1]) == []
    assert not index.remove("globex", "s2")


def test_a_late_older_version_changes_nothing() -> None:
    index = SubscriptionIndex()
    assert index.put("acme", subscriber(1, wants("tech"), version=2))
    assert not index.put("acme", subscriber(1, wants("sports"), version=1))
    assert not index.put("acme", subscriber(1, wants("sports"), version=2))
    assert who(index, {"topic": "sports"}) == {}
    assert who(index, {"topic": "tech"}) == {MAIL: [1]}


def test_a_removal_with_a_version_outlives_late_puts() -> None:
    index = SubscriptionIndex()
    assert not index.remove("acme", "s1", 5)
    assert not index.remove("acme", "s1", 3)
    assert not index.put("acme", subscriber(1, wants("tech"), version=5))
    assert index.put("acme", subscriber(1, wants("tech"), version=6))
    assert not index.remove("acme", "s1", 5)
    assert index.remove("acme", "s1", 6)
    assert who(index, {"topic": "tech"}) == {}


def test_a_removal_without_a_version_forgets() -> None:
    index = SubscriptionIndex()
    index.put("acme", subscriber(1, wants("tech"), version=5))
    assert index.remove("acme", "s1")
    assert not index.remove("acme", "s1")
    assert index.put("acme", subscriber(1, wants("tech"), version=1))


def test_an_ordinal_belongs_to_one_subscriber() -> None:
    index = SubscriptionIndex()
    index.put("acme", subscriber(1, wants("tech")))
    with pytest.raises(ValueError, match="ordinal 1 belongs"):
        index.put("acme", IndexedSubscriber("other", 1, 1, True, (wants("sports"),), MAIL))
    assert who(index, {"topic": "sports"}) == {}


def test_a_subscriber_with_a_new_ordinal_leaves_the_old_one() -> None:
    index = SubscriptionIndex()
    index.put("acme", subscriber(1, wants("tech")))
    index.put("acme", IndexedSubscriber("s1", 9, 2, True, (wants("tech"),), MAIL))
    assert who(index, {"topic": "tech"}) == {MAIL: [9]}
    assert index.missing_ordinals("acme", [1, 9]) == [1]
    index.put("acme", subscriber(1, wants("sports"), version=3))
    assert who(index, {"topic": "tech"}) == {}


def test_a_field_that_must_be_there_is_missed() -> None:
    index = SubscriptionIndex()
    both = parse({"topic": ["tech"], "a": [{"exists": True}], "z": [{"exists": True}]})
    index.put("acme", subscriber(1, Subscription("default", both, MAIL)))
    assert who(index, {"topic": "tech", "a": 1, "z": 1}) == {MAIL: [1]}
    for event in ({"topic": "tech", "a": 1}, {"topic": "tech", "z": 1}, {"a": 1, "z": 1}):
        assert who(index, event) == {}


def test_missing_ordinals_are_told() -> None:
    index = SubscriptionIndex()
    index.put("acme", subscriber(1))
    index.put("acme", subscriber(7))
    asked = BitMap([1, 2, 7, 9])
    assert index.subscriber_ids("acme", asked) == ["s1", "s7"]
    assert index.missing_ordinals("acme", asked) == [2, 9]


def test_equal_filters_and_profiles_are_kept_once() -> None:
    index = SubscriptionIndex()
    for number in range(10):
        profile = Profile(channels=("EMAIL",))
        pattern = parse({"topic": ["a", "b"] if number % 2 else ["b", "a"]})
        index.put("acme", subscriber(number, Subscription("default", pattern, profile)))
    assert index.counts() == Counts(subscribers=10, subscriptions=10, filters=1)
    kept = [index.subscriber("acme", f"s{number}") for number in range(10)]
    assert len({id(one.subscriptions[0].pattern) for one in kept if one}) == 1
    assert who(index, {"topic": "b"}) == {MAIL: list(range(10))}


def test_what_was_removed_leaves_nothing_behind() -> None:
    index = SubscriptionIndex()
    for turn in range(3):
        for number in range(50):
            index.put("acme", subscriber(number, wants(f"topic-{number % 7}"), version=turn + 1))
        assert len(who(index, {"topic": "topic-3"})[MAIL]) == 7
        for number in range(50):
            assert index.remove("acme", f"s{number}")
        assert index.counts() == Counts(subscribers=0, subscriptions=0, filters=0)
        assert who(index, {"topic": "topic-3"}) == {}


def test_the_answer_is_the_callers_to_change() -> None:
    index = SubscriptionIndex()
    for number in range(100):
        index.put("acme", subscriber(number, wants("tech")))
    [(_, ordinals)] = index.match("acme", flatten({"topic": "tech"}))
    ordinals.clear()
    assert who(index, {"topic": "tech"}) == {MAIL: list(range(100))}


def test_many_numbers_in_many_blocks_answer_like_a_scan() -> None:
    """Enough filters for several blocks of numbers, shared ones among them, with a third replaced and a third gone."""
    chance = random.Random(3)
    index, held = SubscriptionIndex(), {}

    def draw(number: int, version: int) -> IndexedSubscriber:
        source: dict[str, object] = {"topic": [f"t{chance.randrange(30)}", {"prefix": f"t{chance.randrange(30)}/"}]}
        if chance.random() < 0.7:
            source["priority"] = [f"p{chance.randrange(3)}"]
        if chance.random() < 0.3:
            source["data"] = {"amount": [{"numeric": [">", chance.randrange(10)]}]}
        if chance.random() < 0.3:
            source["data.items"] = {"sku": [f"k{chance.randrange(4)}"], "qty": [chance.randrange(3)]}
        if chance.random() < 0.1:
            source = {"account": [chance.randrange(100)]}
        return subscriber(number, Subscription("x", parse(source), chance.choice([MAIL, PUSH])), version=version)

    for number in range(3_000):
        held[number] = draw(number, 1)
    for number in range(0, 3_000, 3):
        index.put("acme", held[number])
        held[number] = draw(number, 2)
    for one in held.values():
        index.put("acme", one)
    for number in range(1, 3_000, 3):
        index.remove("acme", f"s{number}", 1)
        del held[number]
    for _ in range(30):
        event = {
            "topic": f"t{chance.randrange(30)}/x",
            "priority": f"p{chance.randrange(3)}",
            "account": chance.randrange(100),
            "data": {
                "amount": chance.randrange(12),
                "items": [{"sku": f"k{chance.randrange(4)}", "qty": chance.randrange(3)} for _ in range(3)],
            },
        }
        expected: dict[Profile, list[int]] = {}
        for number, one in sorted(held.items()):
            if matches(one.subscriptions[0].pattern, flatten(event)):
                expected.setdefault(one.subscriptions[0].profile, []).append(number)
        assert expected
        assert who(index, event) == expected


def test_a_slot_grows_and_shrinks_through_all_its_forms() -> None:
    """One ordinal, a few, many, and back, in a filter of two branches."""
    index = SubscriptionIndex()
    either = parse({"$or": [{"topic": ["tech"]}, {"priority": ["high"]}]})
    numbers = list(range(0, 600_000, 3_000))
    for count, number in enumerate(numbers, 1):
        index.put("acme", subscriber(number, Subscription("default", either, MAIL)))
        index.put("acme", subscriber(number, Subscription("renamed", either, MAIL), version=2))
        assert who(index, {"topic": "tech"}) == who(index, {"priority": "high"}) == {MAIL: numbers[:count]}
    for number in list(numbers):
        numbers.remove(number)
        index.remove("acme", f"s{number}")
        expected = {MAIL: numbers} if numbers else {}
        assert who(index, {"topic": "tech"}) == who(index, {"priority": "high"}) == expected
    assert index.counts().filters == 0
