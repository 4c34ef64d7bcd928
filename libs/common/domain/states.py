"""The states of a delivery and the moves between them. A state never moves backwards, and a terminal one never moves,
but for what a receipt may still add to a sent message."""

from enum import StrEnum


class State(StrEnum):
    """Where a delivery stands; upper case on the wire."""

    QUEUED = "QUEUED"
    """Matched and published; no attempt yet."""
    HELD = "HELD"
    """Waiting for a delivery window or an earliest time."""
    SENDING = "SENDING"
    """Claimed by a dispatcher: a lease and a fence say by which."""
    RETRYING = "RETRYING"
    """The provider surely did not take it; a retry record is in a tier."""
    UNKNOWN = "UNKNOWN"
    """The provider may have taken it: no usable answer, or a crash after the request left."""
    SENT = "SENT"
    """The provider accepted it."""
    DELIVERED = "DELIVERED"
    """A receipt said so."""
    READ = "READ"
    """The person read it."""
    UNDELIVERABLE = "UNDELIVERABLE"
    """Refused for good by a provider or a rule."""
    SUPPRESSED = "SUPPRESSED"
    """The subscriber does not want it (any more)."""
    EXPIRED = "EXPIRED"
    """Too late to be of use."""
    CANCELLED = "CANCELLED"
    """Withdrawn before it was sent."""
    DEAD = "DEAD"
    """Retries used up; in the dead topic, redrivable."""


_BEFORE_THE_PROVIDER = {State.QUEUED, State.HELD, State.SENDING, State.RETRYING, State.UNKNOWN}
_BY_RULE = {State.SUPPRESSED, State.EXPIRED, State.CANCELLED, State.DEAD}

FROM: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset(),
    State.HELD: frozenset({State.QUEUED}),
    State.SENDING: frozenset({State.QUEUED, State.HELD, State.RETRYING, State.UNKNOWN}),
    State.RETRYING: frozenset({State.QUEUED, State.SENDING, State.UNKNOWN}),
    State.UNKNOWN: frozenset({State.SENDING}),
    State.SENT: frozenset(_BEFORE_THE_PROVIDER),
    State.DELIVERED: frozenset(_BEFORE_THE_PROVIDER | {State.SENT}),
    State.READ: frozenset(_BEFORE_THE_PROVIDER | {State.SENT, State.DELIVERED}),
    # A hard bounce arrives after the provider's acceptance, and sometimes after a premature "delivered".
    State.UNDELIVERABLE: frozenset(_BEFORE_THE_PROVIDER | {State.SENT, State.DELIVERED}),
} | {state: frozenset(_BEFORE_THE_PROVIDER) for state in _BY_RULE}
"""For each state, the states from which it may be entered: the precondition of every write."""

TERMINAL: frozenset[State] = frozenset({State.UNDELIVERABLE} | _BY_RULE)
"""Nothing follows these."""

SETTLED: frozenset[State] = TERMINAL | {State.SENT, State.DELIVERED, State.READ}
"""No attempt may start any more: a record for such a delivery is skipped."""


def may_move(old: State, new: State) -> bool:
    """Whether a delivery in `old` may enter `new`."""
    return old in FROM[new]
