"""How far offsets may be committed, whatever the order in which records are finished."""

from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain.inflight import Tracker


def test_the_watermark_is_the_end_of_the_unbroken_run_of_finished_records():
    tracker = Tracker()
    first, second, third = (tracker.register("p", offset) for offset in (10, 11, 15))

    tracker.done(third)
    assert tracker.watermarks() == {}
    tracker.done(first)
    assert tracker.watermarks() == {"p": 11}
    tracker.done(second)
    assert tracker.watermarks() == {"p": 16}
    assert (tracker.pending("p"), tracker.span("p")) == (0, 0)


def test_a_committed_watermark_is_not_told_again():
    tracker = Tracker()
    first, second = tracker.register("p", 0), tracker.register("p", 1)
    tracker.done(first)
    tracker.committed({"p": 1})
    assert tracker.watermarks() == {}

    tracker.done(second)
    assert tracker.watermarks() == {"p": 2}
    assert tracker.watermarks(["q"]) == {}


def test_what_was_finished_after_the_partition_was_taken_away_counts_for_nothing():
    tracker = Tracker()
    old = tracker.register("p", 5)
    tracker.forget(["p", "never ours"])
    assert not tracker.current(old)
    new = tracker.register("p", 5)

    tracker.done(old)
    assert tracker.watermarks() == {}, "the new owner of offset 5 has not finished it"
    tracker.done(new)
    assert tracker.watermarks() == {"p": 6}


def test_reading_a_partition_again_forgets_what_was_in_hand():
    tracker = Tracker()
    old = [tracker.register("p", offset) for offset in (7, 8, 9)]
    again = tracker.register("p", 7)

    for ticket in old:
        tracker.done(ticket)
    assert tracker.watermarks() == {}
    tracker.done(again)
    assert tracker.watermarks() == {"p": 8}


def test_done_twice_is_done_once():
    tracker = Tracker()
    first, second = tracker.register("p", 1), tracker.register("p", 2)
    tracker.done(first)
    tracker.done(first)
    assert (tracker.pending("p"), tracker.span("p")) == (1, 1)
    tracker.done(second)
    assert tracker.watermarks() == {"p": 3}


@given(st.sets(st.integers(0, 10_000), min_size=1, max_size=60).map(sorted), st.randoms(use_true_random=False))
def test_the_watermark_never_passes_an_unfinished_record_nor_lags_behind_a_finished_run(offsets, random):
    tracker = Tracker()
    tickets = [tracker.register("p", offset) for offset in offsets]
    order = tickets[:]
    random.shuffle(order)
    finished = set()
    for ticket in order:
        tracker.done(ticket)
        finished.add(ticket.offset)
        run = [offset for offset in offsets if all(each in finished for each in offsets if each <= offset)]
        assert tracker.watermarks().get("p") == (run[-1] + 1 if run else None)
        assert tracker.pending("p") == len(offsets) - len(finished)
        assert tracker.span("p") == len(offsets) - len(run)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["read", "finish", "lose"])), max_size=80))
def test_partitions_do_not_disturb_each_other(steps):
    """Against a model: each partition alone, as if the other did not exist."""
    together, alone = Tracker(), {"a": Tracker(), "b": Tracker()}
    tickets = {"a": [], "b": []}
    for number, (partition, step) in enumerate(steps):
        if step == "read":
            tickets[partition].append(
                (together.register(partition, number), alone[partition].register(partition, number))
            )
        elif step == "finish" and tickets[partition]:
            mine, model = tickets[partition].pop()
            together.done(mine)
            alone[partition].done(model)
        elif step == "lose":
            together.forget([partition])
            alone[partition].forget([partition])
    assert together.watermarks() == {**alone["a"].watermarks(), **alone["b"].watermarks()}
