"""A log in memory, held to the same contract as Kafka's (`tests/contract/test_log.py`)."""

from collections import defaultdict
from collections.abc import Sequence

from libs.common.domain.errors import Poison, Unavailable
from libs.common.ports import Record
from libs.common.topics import HEADROOM, LARGEST_RECORD


class MemoryLog:
    """Implements `ports.Log`; `away` makes it refuse, as a broker that does not answer."""

    def __init__(self) -> None:
        self.away = False
        self.refusals = 0
        """How often it refused."""
        self.records: list[Record] = []

    async def append(self, records: Sequence[Record]) -> None:
        """Append all of them; see `ports.Log`."""
        if self.away:
            self.refusals += 1
            raise Unavailable("Kafka: away")
        if any(_size(record) > LARGEST_RECORD + HEADROOM for record in records):
            raise Poison("record too large for the log")
        self.records.extend(records)

    def of(self, topic: str) -> list[Record]:
        """The records of one topic, in order."""
        return [record for record in self.records if record.topic == topic]

    def by_topic(self) -> dict[str, list[Record]]:
        """All records, by topic."""
        topics: dict[str, list[Record]] = defaultdict(list)
        for record in self.records:
            topics[record.topic].append(record)
        return dict(topics)


def _size(record: Record) -> int:
    headers = sum(len(name) + len(content or b"") + 2 for name, content in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers
