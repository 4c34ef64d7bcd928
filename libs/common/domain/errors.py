"""Errors are named by what must happen next; one function per process decides it.

SigmoraError
├── InvalidInput        refuse: tell the caller what and where (4xx)
│   ├── Conflict        refuse: the same key with another body (422)
│   └── Overtaken       refuse: somebody else changed it since it was read (422)
├── Poison              dead-letter: a record that cannot be read, kept byte for byte
└── Unavailable         retry: our own infrastructure is away; nothing was promised (503, or stop and back off)
"""

from dataclasses import dataclass


class SigmoraError(Exception):
    """Base of all errors that Sigmora raises itself."""


@dataclass(frozen=True)
class Flaw:
    """One thing wrong with an input: where (`pointer`, like `preferences.topic[0]`) and what."""

    pointer: str
    message: str


class InvalidInput(SigmoraError):
    """The input is refused; nothing was changed."""

    def __init__(self, *flaws: Flaw) -> None:
        super().__init__("; ".join(f"{flaw.pointer}: {flaw.message}" for flaw in flaws))
        self.flaws = flaws


class Conflict(InvalidInput):
    """The input contradicts what was accepted before."""


class Overtaken(InvalidInput):
    """The input is about something that somebody else has changed since it was read."""


class Poison(SigmoraError):
    """A record cannot be read, now or ever: it goes to `dead-letters` byte for byte."""


class Unavailable(SigmoraError):
    """Kafka or MongoDB did not answer in time; the same call may succeed later."""
