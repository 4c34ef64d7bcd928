"""A bucket keeps its rate over every window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain.bucket import Bucket

NEARLY = 1e-6


def test_a_full_bucket_lets_a_burst_through_and_then_the_rate():
    bucket = Bucket(rate=10, burst=3)

    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait(0.0) == pytest.approx(0.1)
    assert not bucket.take(0.09)
    assert bucket.take(0.11)
    assert not bucket.take(0.11)


def test_tokens_that_nobody_takes_are_kept_up_to_the_burst():
    bucket = Bucket(rate=10, burst=3)
    for _ in range(3):
        bucket.take(0.0)

    assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]


def test_without_a_burst_it_lets_one_through_at_a_time():
    bucket = Bucket(rate=0.5)

    assert bucket.take(5.0)
    assert bucket.wait(5.0) == pytest.approx(2.0)
    assert not bucket.take(6.9)
    assert bucket.take(7.1)


@given(
    rate=st.floats(0.1, 1000),
    burst=st.floats(0, 50),
    gaps=st.lists(st.floats(0, 2), min_size=1, max_size=200),
)
def test_no_window_ever_sees_more_than_the_burst_and_the_rate(rate, burst, gaps):
    bucket, now, let_through = Bucket(rate, burst), 0.0, []
    for gap in gaps:
        now += gap
        while bucket.take(now) and len(let_through) < 500:
            let_through.append(now)

    for first in range(len(let_through)):
        for last in range(first, len(let_through)):
            window = let_through[last] - let_through[first]
            assert last - first + 1 <= max(1.0, burst) + rate * window + NEARLY


@given(rate=st.floats(0.1, 1000), burst=st.floats(0, 50), count=st.integers(1, 100))
def test_whoever_waits_as_long_as_told_gets_a_token(rate, burst, count):
    bucket, now = Bucket(rate, burst), 0.0
    for _ in range(count):
        now += bucket.wait(now) + NEARLY
        assert bucket.take(now)
