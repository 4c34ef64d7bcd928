"""A breaker opens when too many calls fail, and finds out by a few probes when they no longer do."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from libs.common.domain.breaker import Breaker, BreakerRules, Permit, Position

RULES = BreakerRules(threshold=0.5, minimum=10, window=10.0, cool_down=5.0, probes=2)


def call(breaker: Breaker, healthy: bool | None, now: float) -> bool:
    """One call from its beginning to its end; whether it was let through."""
    permit = breaker.admit(now)
    if permit is not None:
        breaker.report(permit, healthy, now)
    return permit is not None


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(RULES)
    for _ in range(RULES.minimum):
        call(breaker, False, at)
    assert breaker.position(at) is Position.OPEN
    return breaker


@pytest.mark.parametrize(
    ("ends", "position"),
    [
        ([], Position.CLOSED),
        ([False] * 9, Position.CLOSED),
        ([False] * 10, Position.OPEN),
        ([True] * 6 + [False] * 5, Position.CLOSED),
        ([True] * 5 + [False] * 5, Position.OPEN),
        ([None] * 50 + [False] * 9, Position.CLOSED),
        ([True] * 100, Position.CLOSED),
        ([False] * 9 + [True] * 9, Position.CLOSED),
    ],
    ids=[
        "nothing",
        "too few",
        "all of enough",
        "under half",
        "half",
        "what says nothing does not count",
        "good",
        "a success never opens it",
    ],
)
def test_it_opens_when_too_large_a_share_of_enough_calls_failed(ends, position):
    breaker = Breaker(RULES)
    for healthy in ends:
        call(breaker, healthy, 1.0)

    assert breaker.position(1.0) is position


def test_failures_older_than_the_window_are_forgotten():
    breaker = Breaker(RULES)
    for _ in range(9):
        call(breaker, False, 0.0)

    call(breaker, False, 10.0)

    assert breaker.position(10.0) is Position.CLOSED


def test_an_outage_after_a_busy_time_is_seen_in_some_calls_and_not_in_some_seconds():
    breaker = Breaker(BreakerRules())
    for number in range(1800):
        call(breaker, True, number / 200)

    calls = 0
    while breaker.position(9.0 + calls / 200) is Position.CLOSED:
        call(breaker, False, 9.0 + calls / 200)
        calls += 1

    assert 80 <= calls <= 140


def test_it_lets_nothing_through_until_the_cool_down_is_over():
    breaker = opened(at=100.0)

    assert breaker.room(104.9) == 0
    assert breaker.remaining(102.0) == 3.0
    assert breaker.admit(104.9) is None
    assert breaker.room(105.0) == 2
    assert breaker.remaining(105.0) == 0.0


def test_half_open_it_lets_only_the_probes_through():
    breaker = opened()

    permits = [breaker.admit(5.0) for _ in range(5)]

    assert [permit is not None for permit in permits] == [True, True, False, False, False]


def test_it_closes_once_all_probes_succeeded():
    breaker = opened()
    first, second = breaker.admit(5.0), breaker.admit(5.0)

    breaker.report(first, True, 5.1)
    assert breaker.position(5.1) is Position.HALF_OPEN
    assert breaker.admit(5.1) is None, "the probes were given out"
    breaker.report(second, True, 5.2)

    assert breaker.position(5.2) is Position.CLOSED
    assert breaker.room(5.2) is None


def test_one_failed_probe_opens_it_for_another_cool_down():
    breaker = opened()
    first, second = breaker.admit(5.0), breaker.admit(5.0)

    breaker.report(first, False, 6.0)
    breaker.report(second, True, 6.1)

    assert breaker.position(10.9) is Position.OPEN
    assert breaker.position(11.0) is Position.HALF_OPEN


@pytest.mark.parametrize(
    ("ends", "position"),
    [
        ([True], Position.CLOSED),
        ([False], Position.HALF_OPEN),
        ([False, False, True], Position.CLOSED),
        ([False, False, False], Position.OPEN),
        ([None, None, False, None, False, False], Position.OPEN),
    ],
    ids=["one success is enough", "one failure is not", "the last succeeds", "all fail", "not made, and all fail"],
)
def test_the_probes_are_judged_by_the_same_share(ends, position):
    rules = BreakerRules(threshold=0.8, minimum=5, probes=3)
    breaker = Breaker(rules)
    for _ in range(5):
        call(breaker, False, 0.0)

    for healthy in ends:
        assert call(breaker, healthy, 5.0)

    assert breaker.position(5.0) is position


def test_messages_that_always_fail_do_not_open_it_while_others_are_taken():
    """A fifth of all is hopeless and is tried six times: 60 % of the calls fail."""
    breaker = Breaker(BreakerRules())
    for number in range(2000):
        call(breaker, number % 10 < 4, number / 200)

    assert breaker.position(10.0) is Position.CLOSED


def test_a_probe_that_was_not_made_is_given_to_somebody_else():
    breaker = opened()
    first, _ = breaker.admit(5.0), breaker.admit(5.0)
    assert breaker.admit(5.0) is None

    breaker.report(first, None, 5.1)

    assert breaker.admit(5.1) is not None


def test_a_call_that_began_before_it_opened_says_nothing_about_the_probes():
    breaker = Breaker(RULES)
    slow = [breaker.admit(0.0) for _ in range(4)]
    for _ in range(10):
        call(breaker, False, 0.0)
    assert breaker.room(5.0) == 2

    for permit, healthy in zip(slow, [True, True, False, None], strict=True):
        breaker.report(permit, healthy, 5.0)

    assert breaker.position(5.0) is Position.HALF_OPEN
    assert breaker.room(5.0) == 2


def test_closed_again_it_begins_to_count_anew():
    breaker = opened()
    for _ in range(2):
        call(breaker, True, 5.0)

    for _ in range(9):
        call(breaker, False, 5.0)

    assert breaker.position(5.0) is Position.CLOSED


def test_every_move_is_told_once():
    moves: list[Position] = []
    breaker = Breaker(RULES, moves.append)
    for _ in range(10):
        call(breaker, False, 0.0)
    call(breaker, False, 5.0)
    call(breaker, True, 10.0)
    call(breaker, True, 10.0)

    assert [str(move) for move in moves] == ["open", "half_open", "open", "half_open", "closed"]


def test_a_minimum_of_zero_turns_it_off():
    breaker = Breaker(BreakerRules(minimum=0))

    assert all(call(breaker, False, 0.0) for _ in range(1000))


def test_it_may_be_forgotten_once_nobody_uses_it():
    breaker = Breaker(RULES)
    assert breaker.idle(0.0)
    call(breaker, False, 0.0)

    assert not breaker.idle(1.0)
    assert breaker.idle(11.0)
    assert not opened(at=100.0).idle(104.0)
    assert opened(at=100.0).idle(105.0)
    probing = opened(at=100.0)
    probing.admit(105.0)
    assert not probing.idle(106.0)


class AnyHistory(RuleBasedStateMachine):
    """Calls begin, end and are lost in any order, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.moves: list[Position] = []
        self.breaker = Breaker(BreakerRules(0.5, 4, 4.0, 2.0, 3), self.moved)
        self.out: list[Permit] = []
        self.since_half_open = 0
        self.given_back = 0
        self.half_open: list[Permit] = []

    def moved(self, position: Position) -> None:
        self.moves.append(position)
        self.since_half_open = self.given_back = 0
        self.half_open = []

    @rule(seconds=st.floats(0, 3))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_call_begins(self) -> None:
        permit = self.breaker.admit(self.now)
        assert (permit is None) <= (self.breaker.position(self.now) is not Position.CLOSED)
        if permit is not None:
            assert self.breaker.position(self.now) is not Position.OPEN
            self.out.append(permit)
            if self.breaker.position(self.now) is Position.HALF_OPEN:
                self.since_half_open += 1
                self.half_open.append(permit)

    @rule(data=st.data(), healthy=st.sampled_from([True, False, None]))
    def a_call_ends(self, data: st.DataObject, healthy: bool | None) -> None:
        if self.out:
            permit = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
            if healthy is None and any(permit is probe for probe in self.half_open):
                self.given_back += 1
            self.breaker.report(permit, healthy, self.now)

    @invariant()
    def no_more_than_the_probes_are_let_through_while_half_open(self) -> None:
        assert self.since_half_open - self.given_back <= 3

    @invariant()
    def it_never_closes_but_from_half_open(self) -> None:
        for before, after in zip(self.moves, self.moves[1:], strict=False):
            assert (before, after) in {
                (Position.OPEN, Position.HALF_OPEN),
                (Position.HALF_OPEN, Position.OPEN),
                (Position.HALF_OPEN, Position.CLOSED),
                (Position.CLOSED, Position.OPEN),
            }


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
