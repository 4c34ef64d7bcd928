"""What follows an attempt, as a table."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain.outcome import Accepted, NotNow, Refused, Unknown
from libs.common.domain.retry import DEFAULT_DELAYS, RetryAt, RetrySchedule, Settle, UnknownPolicy, next_step
from libs.common.domain.states import State

NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
SCHEDULE = RetrySchedule()


def seconds(number):
    return timedelta(seconds=number)


@pytest.mark.parametrize(
    ("outcome", "attempt", "step"),
    [
        (Accepted("m"), 1, Settle(State.SENT, provider_message_id="m")),
        (Refused("http_400"), 1, Settle(State.UNDELIVERABLE, "http_400")),
        (NotNow("http_503"), 1, RetryAt(1, NOW + seconds(5), "http_503")),
        (NotNow("http_503"), 2, RetryAt(2, NOW + seconds(30), "http_503")),
        (NotNow("http_503"), 5, RetryAt(5, NOW + seconds(3600), "http_503")),
        (NotNow("http_503"), 6, Settle(State.DEAD, "http_503")),
        (NotNow("http_429", seconds(20)), 1, RetryAt(2, NOW + seconds(30), "http_429")),
        (NotNow("http_429", seconds(5)), 1, RetryAt(1, NOW + seconds(5), "http_429")),
        (NotNow("http_429", seconds(1)), 3, RetryAt(3, NOW + seconds(120), "http_429")),
        (NotNow("http_429", timedelta(days=9)), 1, RetryAt(5, NOW + seconds(3600), "http_429")),
        (Unknown("timeout"), 1, RetryAt(1, NOW + seconds(5), "timeout", State.UNKNOWN)),
        (Unknown("timeout"), 6, Settle(State.DEAD, "timeout")),
    ],
)
def test_what_follows(outcome, attempt, step):
    assert next_step(outcome, attempt, NOW, SCHEDULE) == step


@pytest.mark.parametrize("attempt", [1, 6])
def test_a_channel_that_parks_does_not_send_again(attempt):
    assert next_step(Unknown("timeout"), attempt, NOW, SCHEDULE, UnknownPolicy.PARK) == Settle(State.UNKNOWN, "timeout")


@given(st.integers(1, 10), st.none() | st.timedeltas(timedelta(), timedelta(days=2)))
def test_a_tier_is_never_earlier_than_the_schedules_nor_shorter_than_asked_for_if_one_is_long_enough(attempt, asked):
    tier = SCHEDULE.tier_after(attempt, asked)
    if attempt >= SCHEDULE.attempts:
        assert tier is None
        return
    assert tier is not None
    assert tier >= attempt
    assert asked is None or SCHEDULE.delay(tier) >= min(asked, DEFAULT_DELAYS[-1])
