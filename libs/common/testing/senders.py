"""A provider in memory: it answers as it is told, honours idempotency keys, and remembers every call."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from libs.common.domain.outcome import Accepted, Outcome


class Identified(Protocol):
    """What the fake looks at of a message."""

    @property
    def delivery_id(self) -> str: ...


class ScriptedSender:
    """Implements the channels' `Sender`. Each call gets the next of `answers`, and "accepted" once they are used up."""

    provider = "scripted"

    def __init__(self, answers: Iterable[Outcome | Exception | Callable[[], None]] = ()) -> None:
        self.answers = list(answers)
        self.calls: list[str] = []
        """The idempotency key of every call."""
        self.effects: Counter[str] = Counter()
        """What an honouring provider did: one effect for each key, at most."""

    async def send(self, message: Identified) -> Outcome:
        """Answer as told. An exception in the script is raised after the effect, as a crash at the worst moment."""
        self.calls.append(message.delivery_id)
        answer = self.answers.pop(0) if self.answers else Accepted(f"message-{message.delivery_id}")
        if callable(answer):
            answer()
            answer = Accepted(f"message-{message.delivery_id}")
        if isinstance(answer, Accepted | Exception):
            self.effects[message.delivery_id] = 1
        if isinstance(answer, Exception):
            raise answer
        return answer


class QueryableSender(ScriptedSender):
    """A provider that can be asked, too: each question gets the next of `findings`, and None once they are used up."""

    def __init__(
        self, answers: Iterable[Outcome | Exception | Callable[[], None]] = (), findings: Iterable[Outcome | None] = ()
    ) -> None:
        super().__init__(answers)
        self.findings = list(findings)
        self.asked: list[str] = []
        """The delivery id of every question."""

    async def look_up(self, message: Identified) -> Outcome | None:
        """Answer as told."""
        self.asked.append(message.delivery_id)
        return self.findings.pop(0) if self.findings else None
