"""The values of dispatch: a delivery to attempt, the claim on it, what was found of it, and how an attempt ended. The
dispatcher decides on them, the store keeps them; neither knows the other's shape."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.common.domain import keys
from libs.common.domain.channels import MAIN_ENDPOINT, Channel
from libs.common.domain.messages import Event
from libs.common.domain.retry import RetryAt, Settle
from libs.common.domain.states import State


@dataclass(frozen=True, slots=True)
class Work:
    """One delivery to attempt, as a record asks for it. `attempt` is the one to make, from 1."""

    event: Event
    channel: Channel
    subscriber_id: str
    delivery_id: str
    endpoint: str = MAIN_ENDPOINT
    generation: int = 0
    attempt: int = 1
    first_at: datetime | None = None
    """When it was first attempted; None on the first attempt."""

    @property
    def notification_id(self) -> str:
        """The notification of which this is one delivery."""
        return keys.notification_id(self.event.eventid, self.subscriber_id)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to send until `until`, of one `owner`: a token drawn for each group, so that a process that reads a
    record twice does not take its own claim for permission to send twice."""

    owner: str
    now: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that is ours to send: state SENDING under this fence until the lease ends."""

    work: Work
    attempt: int
    fence: int
    lease_until: datetime
    in_doubt: bool = False
    """Whether an earlier attempt ended without anybody knowing how: a provider may have the message already."""


@dataclass(frozen=True, slots=True)
class KnownDelivery:
    """What the store has of a delivery."""

    delivery_id: str
    state: State
    attempt: int
    fence: int
    owner: str
    lease_until: datetime | None


@dataclass(frozen=True, slots=True)
class Take:
    """Claim what was `found`, if it still is as it was found, for attempt number `attempt`."""

    found: KnownDelivery
    attempt: int

    @property
    def fence(self) -> int:
        """The fence that the claim will have."""
        return self.found.fence + 1


@dataclass(frozen=True, slots=True)
class PutOff:
    """No call was made: the same attempt again, by way of `tier`, not before `due_at`."""

    tier: int
    due_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Tried:
    """A call to a provider."""

    at: datetime
    provider: str
    latency: timedelta
    answer: str
    """accepted, refused, not_now or unknown."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an attempt ended at `at`, and what follows. `tried` None: a rule decided, no provider was called."""

    claim: Claim
    step: Settle | RetryAt | PutOff
    at: datetime
    tried: Tried | None = None

    @property
    def state(self) -> State:
        """The state that the delivery enters. One that is put off stays in doubt if it was."""
        if isinstance(self.step, PutOff):
            return State.UNKNOWN if self.claim.in_doubt else State.RETRYING
        return self.step.state

    @property
    def attempt(self) -> int:
        """The attempt last made: one that was put off does not count."""
        return self.claim.attempt - 1 if isinstance(self.step, PutOff) else self.claim.attempt

    @property
    def due_at(self) -> datetime | None:
        """When the next attempt is due, if there is one."""
        return None if isinstance(self.step, Settle) else self.step.due_at

    @property
    def provider_message_id(self) -> str:
        """The provider's name for the message, once it took it."""
        return self.step.provider_message_id if isinstance(self.step, Settle) else ""
