"""Which fault meets which request."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.simulator.rules import KINDS, Armed, Facts, Rule, Verdict, choose, pattern

MAIL = Facts("EMAIL", ("ann@example.com",))


def armed(rule_id: str = "f1", **rule: object) -> Armed:
    """A rule as a person would write it."""
    return Armed(rule_id, msgspec.convert({"action": {"kind": "status", "code": 500}, **rule}, Rule))


def judge(*rules: Armed, facts: Facts = MAIL, dice: float = 0.0, now: float = 0.0) -> Verdict:
    return choose(rules, facts, lambda: dice, now)


def test_without_rules_nothing_happens() -> None:
    assert judge() == Verdict(0.0, None, ())


@pytest.mark.parametrize(
    ("rule", "applies"),
    [
        ({}, True),  # no condition: everybody
        ({"channel": "EMAIL"}, True),
        ({"channel": "SMS"}, False),
        ({"to": "ann@example.com"}, True),
        ({"to": "ANN@Example.com"}, True),  # addresses are compared whatever their case
        ({"to": "bob@example.com"}, False),
        ({"to": "*@example.com"}, True),
        ({"to": "ann@*"}, True),
        ({"to": "*"}, True),
        ({"to": "nn@example.com"}, False),  # the whole address, not a part of it
        ({"to": "ann?example.com"}, False),  # only the star is special
        ({"to": "[a]nn@example.com"}, False),
        ({"channel": "EMAIL", "to": "bob*"}, False),  # all conditions must hold
        ({"proportion": 0.5}, True),  # the dice fell on 0.2
        ({"proportion": 0.2}, False),
        ({"proportion": 0.0}, False),
        ({"proportion": 1.0}, True),
    ],
)
def test_a_rule_concerns_whom_it_names(rule: dict[str, object], applies: bool) -> None:
    verdict = judge(armed(**rule), dice=0.2)

    assert (verdict.armed is not None) is applies


def test_any_of_several_recipients_is_enough() -> None:
    verdict = judge(armed(to="bob@*"), facts=Facts("EMAIL", ("ann@example.com", "bob@example.com")))

    assert verdict.armed is not None


def test_the_first_rule_that_applies_decides() -> None:
    verdict = judge(armed("f1", channel="SMS"), armed("f2"), armed("f3"))

    assert verdict.armed is not None
    assert verdict.armed.id == "f2"
    assert [rule.used for rule in verdict.rules] == [0, 1, 0]


def test_delays_add_up_and_the_next_rule_still_decides() -> None:
    wait = {"action": {"kind": "delay", "ms": 250}}
    verdict = judge(armed("f1", **wait), armed("f2", **wait), armed("f3"))

    assert verdict.delay == 0.5
    assert verdict.armed is not None
    assert verdict.armed.id == "f3"


def test_a_rule_is_off_after_its_times() -> None:
    rules: tuple[Armed, ...] = (armed(times=2),)
    met = []
    for _ in range(4):
        verdict = choose(rules, MAIL, lambda: 0.0, 0.0)
        rules = verdict.rules
        met.append(verdict.armed is not None)

    assert met == [True, True, False, False]


def test_times_counts_only_the_requests_that_were_met() -> None:
    """The dice that spared a request did not use the rule up."""
    rules: tuple[Armed, ...] = (armed(times=1, proportion=0.5),)
    met = []
    for dice in (0.9, 0.9, 0.1, 0.1):
        verdict = choose(rules, MAIL, lambda dice=dice: dice, 0.0)  # type: ignore[misc] # a default binds the loop's value
        rules = verdict.rules
        met.append(verdict.armed is not None)

    assert met == [False, False, True, False]


def test_a_rate_limit_lets_its_rate_through_and_recovers_with_time() -> None:
    rules: tuple[Armed, ...] = (armed(action={"kind": "rate_limit", "per_second": 2}),)
    met = []
    for now in (10.0, 10.0, 10.0, 10.5, 10.5, 99.0):
        verdict = choose(rules, MAIL, lambda: 0.0, now)
        rules = verdict.rules
        met.append(verdict.armed is not None)

    assert met == [False, False, True, False, True, False]


def test_a_rate_below_one_a_second_still_lets_the_first_through() -> None:
    rules: tuple[Armed, ...] = (armed(action={"kind": "rate_limit", "per_second": 0.1}),)
    first = choose(rules, MAIL, lambda: 0.0, 1.0)
    second = choose(first.rules, MAIL, lambda: 0.0, 2.0)

    assert first.armed is None
    assert second.armed is not None


def test_a_kind_that_the_caller_cannot_perform_is_passed_over_untouched() -> None:
    rule = armed(action={"kind": "gzip_bomb"}, times=1)
    verdict = choose((rule,), MAIL, lambda: 0.0, 0.0, KINDS - {type(rule.rule.action)})

    assert verdict.armed is None
    assert verdict.rules == (rule,)


@given(st.lists(st.sampled_from("ab*.["), max_size=12).map("".join), st.text("ab.[", max_size=12))
def test_a_pattern_means_what_a_naive_matcher_says(to: str, address: str) -> None:
    assert bool(pattern(to).fullmatch(address)) is naive(to, address)


def naive(to: str, address: str) -> bool:
    if not to:
        return not address
    if to[0] == "*":
        return naive(to[1:], address) or (bool(address) and naive(to, address[1:]))
    return bool(address) and to[0] == address[0] and naive(to[1:], address[1:])


@given(st.floats(0, 1), st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_faults(proportion: float, seed: int) -> None:
    def run() -> list[bool]:
        dice = random.Random(seed).random
        rules: tuple[Armed, ...] = (armed(proportion=proportion),)
        met = []
        for _ in range(20):
            verdict = choose(rules, MAIL, dice, 0.0)
            rules = verdict.rules
            met.append(verdict.armed is not None)
        return met

    assert run() == run()
