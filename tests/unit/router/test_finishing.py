"""What is fanned out is marked, then committed, and neither is forgotten while the database is away."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

import pytest
from aiokafka import TopicPartition

from libs.common.domain.errors import Unavailable
from libs.common.testing.audiences import MemoryAudiences
from libs.common.testing.waiting import eventually
from services.router import finishing
from services.router.finishing import Finisher

ONE, TWO = TopicPartition("events.standard", 0), TopicPartition("events.standard", 1)


class Book(MemoryAudiences):
    """What was marked and committed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[object] = []
        self.entered = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def mark_fanned_out(self, event_ids: Collection[str], now: datetime) -> None:
        self.entered.set()
        await self.go_on.wait()
        await super().mark_fanned_out(event_ids, now)
        self.lines.append(list(event_ids))

    async def commit(self, positions: Mapping[TopicPartition, int]) -> bool:
        self.lines.append(dict(positions))
        return True


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def finisher(book: Book) -> Finisher:
    return Finisher(book, lambda: datetime(2026, 3, 2, tzinfo=UTC))


async def test_many_polls_are_one_mark_and_then_one_commit(book: Book, finisher: Finisher) -> None:
    for number in range(3):
        finisher.mark([f"e{number}"])
        finisher.commit(book.commit, {ONE: number + 1})
    finisher.commit(book.commit, {TWO: 9})

    await finisher.finish()
    await finisher.finish()

    assert book.lines == [["e0", "e1", "e2"], {ONE: 3, TWO: 9}]


async def test_nothing_is_committed_that_is_not_marked(book: Book, finisher: Finisher) -> None:
    finisher.mark(["e0"])
    finisher.commit(book.commit, {ONE: 1, TWO: 5})
    book.away = True
    with pytest.raises(Unavailable):
        await finisher.finish()
    assert book.lines == []

    finisher.mark(["e1"])
    finisher.commit(book.commit, {ONE: 2})
    book.away = False
    await finisher.finish()

    assert book.lines == [["e0", "e1"], {ONE: 2, TWO: 5}]


async def test_what_comes_while_marks_are_written_is_committed_with_its_own_mark(
    book: Book, finisher: Finisher
) -> None:
    finisher.mark(["e0"])
    finisher.commit(book.commit, {ONE: 1})
    book.go_on.clear()
    first = asyncio.create_task(finisher.finish())
    await book.entered.wait()
    finisher.mark(["e1"])
    finisher.commit(book.commit, {ONE: 2})
    second = asyncio.create_task(finisher.finish())  # the process is stopped meanwhile
    book.go_on.set()
    await asyncio.gather(first, second)

    assert book.lines == [["e0"], {ONE: 1}, ["e1"], {ONE: 2}]


async def test_a_mark_is_of_no_more_events_than_the_database_takes_in_time(
    book: Book, finisher: Finisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finishing, "_MOST", 2)
    finisher.mark(["a", "b", "c", "d", "e"])
    finisher.commit(book.commit, {ONE: 5})

    await finisher.finish()

    assert book.lines == [["a", "b"], ["c", "d"], ["e"], {ONE: 5}]


async def test_it_goes_on_by_itself_when_the_database_is_back(
    book: Book, finisher: Finisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finishing, "_EVERY", 0.001)
    book.away = True
    finisher.mark(["e0"])
    finisher.commit(book.commit, {ONE: 1})
    running = asyncio.create_task(finisher.run())
    await book.entered.wait()
    book.away = False

    await eventually(lambda: len(book.lines) == 2)
    running.cancel()

    assert book.lines == [["e0"], {ONE: 1}]


async def test_a_mark_that_is_refused_ends_nothing_and_is_tried_again(
    book: Book, finisher: Finisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk refuses updates while inserts go on: the router ended itself, started, and fanned out again."""
    monkeypatch.setattr(finishing, "_EVERY", 0.001)
    monkeypatch.setattr(finishing, "_DEFECT_PAUSE", 0.001)
    mark, refused = book.mark_fanned_out, asyncio.Event()

    async def refuse(*_: object) -> None:
        refused.set()
        monkeypatch.setattr(book, "mark_fanned_out", mark)
        raise OSError("disk full")

    monkeypatch.setattr(book, "mark_fanned_out", refuse)
    finisher.mark(["e0"])
    finisher.commit(book.commit, {ONE: 1})
    running = asyncio.create_task(finisher.run())
    await refused.wait()

    await eventually(lambda: len(book.lines) == 2)
    running.cancel()

    assert book.lines == [["e0"], {ONE: 1}]


async def test_a_group_whose_coordinator_is_away_keeps_no_other_waiting(book: Book, finisher: Finisher) -> None:
    away = asyncio.Event()

    async def hang(_positions: Mapping[TopicPartition, int]) -> bool:
        await away.wait()
        return False

    finisher.commit(hang, {TWO: 1})
    finisher.commit(book.commit, {ONE: 1})
    finishing_all = asyncio.create_task(finisher.finish())

    await eventually(lambda: book.lines == [{ONE: 1}])
    away.set()
    await finishing_all
