"""The moves that a delivery may make."""

import pytest

from libs.common.domain.states import FROM, SETTLED, TERMINAL, State, may_move

_RANK = [
    {State.QUEUED},
    {State.HELD},
    {State.SENDING, State.RETRYING, State.UNKNOWN},
    {State.SENT},
    {State.DELIVERED},
    {State.READ},
]


def test_every_state_says_where_it_may_come_from():
    assert set(FROM) == set(State)


def test_a_terminal_state_is_never_left():
    assert not [(old, new) for old in TERMINAL for new in State if may_move(old, new)]


def test_nothing_settled_is_sent_again():
    assert not [old for old in SETTLED if may_move(old, State.SENDING)]


def test_no_state_is_entered_from_a_later_one():
    rank = {state: number for number, states in enumerate(_RANK) for state in states}
    backwards = [(o, n) for o in rank for n in rank if may_move(o, n) and rank[n] < rank[o]]
    assert backwards == []


@pytest.mark.parametrize("old", [State.SENT, State.DELIVERED])
def test_a_bounce_may_follow_an_acceptance(old):
    assert may_move(old, State.UNDELIVERABLE)


def test_what_was_read_stays_read():
    assert not [new for new in State if may_move(State.READ, new)]
