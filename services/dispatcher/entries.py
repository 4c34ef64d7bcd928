"""Records in flight: each is done when all of its deliveries are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from libs.common.domain.deliveries import Work
from libs.common.domain.inflight import Ticket
from libs.common.ports import Received


@dataclass(eq=False, slots=True)
class Entry:
    """One record, from its arrival until its offset may be committed."""

    ticket: Ticket[TopicPartition]
    record: Received
    works: tuple[Work, ...] | None = None
    """Its deliveries that are yet to be done; None until it is read, which costs and is left to the last moment."""
    since: float = 0.0
    """When it began to wait for its group, by the loop's clock, in seconds."""


@dataclass(eq=False)
class WorkGroup:
    """Some entries that go through the story together."""

    entries: Sequence[Entry]
    finished: Callable[[Entry], None]
    """Called for each entry when its last delivery is done."""
    settled: Callable[[], None]
    """Called for each delivery that is done."""
    _left: dict[int, Entry] = field(init=False)
    _counts: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        # By identity: the same delivery may stand in two records, and each record needs its own answer.
        self._left = {id(work): entry for entry in self.entries for work in entry.works or ()}
        self._counts = {id(entry): len(entry.works or ()) for entry in self.entries}

    @property
    def works(self) -> list[Work]:
        """Everything in it that is yet to be done."""
        return [work for entry in self.entries for work in entry.works or () if id(work) in self._left]

    def expand(self, stand_for: Sequence[tuple[Work, ...]]) -> int:
        """Put in the place of each of `works` those that it stands for; how many more there are now."""
        before = len(self._left)
        instead = {id(work): several for work, several in zip(self.works, stand_for, strict=True)}
        for entry in self.entries:
            entry.works = tuple(each for work in entry.works or () for each in instead[id(work)])
        self.__post_init__()
        return len(self._left) - before

    def done(self, work: Work) -> None:
        """Nothing remains to be done for `work`."""
        entry = self._left.pop(id(work), None)
        if entry is None:
            return
        self.settled()
        self._counts[id(entry)] -= 1
        if not self._counts[id(entry)]:
            self.finished(entry)

    def unfinished(self) -> list[Entry]:
        """The entries that have deliveries left, with those alone."""
        for entry in self.entries:
            entry.works = tuple(work for work in entry.works or () if id(work) in self._left)
        return [entry for entry in self.entries if entry.works]
