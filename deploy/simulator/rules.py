"""Which fault meets which request: pure data and the pure function `choose`.

Refuses to know how a fault is performed, what time it is, and how the dice fall: the clock and the dice are handed in.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta, Struct
from msgspec.structs import replace

Channel = Literal["EMAIL", "SMS", "PUSH", "WEBHOOK"]
Name = Annotated[str, Meta(min_length=1, max_length=1000)]


class _Data(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    pass


class Status(_Data, frozen=True, tag="status"):
    """Answer with this status. A 2xx accepts the message; on SMTP see `smtp.reply_code`."""

    code: Annotated[int, Meta(ge=200, le=599)]
    body: Any = None
    headers: dict[str, str] = {}


class Delay(_Data, frozen=True, tag="delay"):
    """Wait, then go on as if nothing had been; delays of several rules add up."""

    ms: Annotated[int, Meta(ge=0, le=600_000)]


class Hang(_Data, frozen=True, tag="hang"):
    """Never answer. `accept`: whether the message was taken all the same."""

    accept: bool = False


class DropBefore(_Data, frozen=True, tag="drop_before"):
    """Close the connection without handling the request."""


class DropAfterAccept(_Data, frozen=True, tag="drop_after_accept"):
    """Take the message, then reset the connection instead of answering."""


class RateLimit(_Data, frozen=True, tag="rate_limit"):
    """Answer 429 to what comes faster than this, with `Retry-After` in seconds."""

    per_second: Annotated[float, Meta(gt=0, le=1_000_000)]
    retry_after: Annotated[int, Meta(ge=0)] = 1


class Garbage(_Data, frozen=True, tag="garbage"):
    """Answer with bytes that are not HTTP (or not SMTP)."""

    accept: bool = True


class MalformedJson(_Data, frozen=True, tag="malformed_json"):
    """Answer 200 with a body that breaks off."""

    accept: bool = True


class Drip(_Data, frozen=True, tag="drip"):
    """Answer properly, but this slowly."""

    bytes_per_second: Annotated[float, Meta(gt=0, le=1_000_000)]
    accept: bool = True


class Endless(_Data, frozen=True, tag="endless"):
    """Answer 200 with a body that has no end."""

    accept: bool = True


class GzipBomb(_Data, frozen=True, tag="gzip_bomb"):
    """Answer 200 with a small gzip body that unpacks to this many MiB."""

    megabytes: Annotated[int, Meta(ge=1, le=4096)] = 256
    accept: bool = True


class RefuseRecipient(_Data, frozen=True, tag="refuse_recipient"):
    """Refuse the address: by this code on SMTP, in the provider's own words elsewhere. 4xx is for now, 5xx for good."""

    code: Annotated[int, Meta(ge=400, le=599)] = 550


Action = (
    Status
    | Delay
    | Hang
    | DropBefore
    | DropAfterAccept
    | RateLimit
    | Garbage
    | MalformedJson
    | Drip
    | Endless
    | GzipBomb
    | RefuseRecipient
)
KINDS: frozenset[type[Any]] = frozenset(Action.__args__)


def kind_of(action: Action) -> str:
    """The action's `kind`, as it is written."""
    return str(type(action).__struct_config__.tag)


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """What a person writes: whom it concerns, how often, and what happens. What is left out does not restrict."""

    action: Action
    channel: Channel | None = None
    to: Name | None = None
    proportion: Annotated[float, Meta(ge=0, le=1)] | None = None
    times: Annotated[int, Meta(ge=1)] | None = None


class Armed(Struct, frozen=True):
    """A rule at work: how often it was applied, and how full its bucket is (requests over the rate, at `level_at`)."""

    id: str
    rule: Rule
    used: int = 0
    level: float = 0.0
    level_at: float = 0.0


class Facts(NamedTuple):
    """What a rule may look at."""

    channel: Channel
    to: tuple[str, ...]


class Verdict(NamedTuple):
    """Wait `delay` seconds, then do `armed`'s action if there is one; `rules` is how they stand afterwards."""

    delay: float
    armed: Armed | None
    rules: tuple[Armed, ...]


def choose(
    rules: Sequence[Armed],
    facts: Facts,
    dice: Callable[[], float],
    now: float,
    kinds: frozenset[type[Any]] = KINDS,
) -> Verdict:
    """The first rule that applies decides; delays before it add up. `now` is in seconds, `dice` falls in [0, 1).

    `kinds` are the actions that the caller can perform here; rules of other kinds are passed over untouched.
    """
    delay = 0.0
    after = list(rules)
    for i, armed in enumerate(rules):
        if type(armed.rule.action) not in kinds or not concerns(armed, facts):
            continue
        armed = _fill(armed, now)
        applies = _over(armed) and (armed.rule.proportion is None or dice() < armed.rule.proportion)
        after[i] = armed = replace(armed, used=armed.used + 1) if applies else _pass(armed)
        if applies and isinstance(armed.rule.action, Delay):
            delay += armed.rule.action.ms / 1000
        elif applies:
            return Verdict(delay, armed, tuple(after))
    return Verdict(delay, None, tuple(after))


def concerns(armed: Armed, facts: Facts) -> bool:
    """Whether the rule is about this request and not used up."""
    rule = armed.rule
    if rule.times is not None and armed.used >= rule.times:
        return False
    if rule.channel is not None and rule.channel != facts.channel:
        return False
    return rule.to is None or any(pattern(rule.to).fullmatch(address) for address in facts.to)


@lru_cache(maxsize=1024)
def pattern(to: str) -> re.Pattern[str]:
    """`*` stands for anything; all else is meant literally, whatever its case. Runs of stars count as one."""
    parts = re.sub(r"\*+", "*", to).split("*")
    return re.compile(".*".join(re.escape(part) for part in parts), re.IGNORECASE | re.DOTALL)


def _fill(armed: Armed, now: float) -> Armed:
    """Let the bucket of a rate limit run out since it was last looked at."""
    if not isinstance(armed.rule.action, RateLimit):
        return armed
    gone = max(0.0, now - armed.level_at) * armed.rule.action.per_second
    return replace(armed, level=max(0.0, armed.level - gone), level_at=now)


def _over(armed: Armed) -> bool:
    """Whether the request is one too many; a rule without a rate applies to each."""
    if not isinstance(armed.rule.action, RateLimit):
        return True
    return armed.level + 1 > max(1.0, armed.rule.action.per_second) + 1e-9


def _pass(armed: Armed) -> Armed:
    """A request that a rate limit lets through counts against the rate."""
    return replace(armed, level=armed.level + 1) if isinstance(armed.rule.action, RateLimit) else armed
