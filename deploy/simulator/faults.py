"""The rules in force. Knows how to add, remove and ask them; refuses to know how a fault is performed."""

import random
import re
import time
from collections.abc import Callable
from typing import Any

import msgspec

from deploy.simulator.problems import Refused, decode, require_shallow
from deploy.simulator.rules import KINDS, Armed, Facts, Rule, Status, Verdict, choose

MOST_RULES = 1000  # each request walks through them
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection"})
_RULE = msgspec.json.Decoder(Rule)


def read_rule(raw: bytes) -> Rule:
    """Read what a person wrote; raise `Refused(400)` that names the field."""
    rule = decode(_RULE.decode, raw)
    if isinstance(rule.action, Status):
        require_shallow(rule.action.body, "action.body")
        for name, value in rule.action.headers.items():
            if not _TOKEN.fullmatch(name) or _CONTROL.search(value) or not value.isascii():
                raise Refused(400, f"not a header that can be sent: {name!r}", "action.headers")
            if name.lower() in _FRAMING:
                raise Refused(400, f"{name} frames the message and cannot be set", "action.headers")
    return rule


class Faults:
    """The rules in the order in which they were added."""

    def __init__(self, seed: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._armed: tuple[Armed, ...] = ()
        self._dice = random.Random(seed).random  # noqa: S311 - the same seed must give the same faults
        self._clock = clock
        self._next = 1

    def add(self, rule: Rule) -> Armed:
        """Put a rule behind the others; raise `Refused(409)` when there are too many."""
        if len(self._armed) >= MOST_RULES:
            raise Refused(409, f"there are {MOST_RULES} rules already; remove some")
        armed = Armed(id=f"f{self._next}", rule=rule)
        self._next += 1
        self._armed = (*self._armed, armed)
        return armed

    def remove(self, rule_id: str) -> bool:
        """Take one away; False if there is none of that id."""
        before = len(self._armed)
        self._armed = tuple(armed for armed in self._armed if armed.id != rule_id)
        return len(self._armed) < before

    def clear(self) -> None:
        """Take all away; the ids go on counting, so that an old id never means a new rule."""
        self._armed = ()

    def judge(self, facts: Facts, kinds: frozenset[type[Any]] = KINDS) -> Verdict | None:
        """What happens to this request; None when there is no rule at all, which is the usual case."""
        if not self._armed:
            return None
        verdict = choose(self._armed, facts, self._dice, self._clock(), kinds)
        self._armed = verdict.rules
        return verdict

    def listed(self) -> list[dict[str, Any]]:
        """The rules as they are shown."""
        return [shown(armed) for armed in self._armed]


def shown(armed: Armed) -> dict[str, Any]:
    """A rule with its id and how often it was applied; what was left out stays out."""
    told = {name: value for name, value in msgspec.to_builtins(armed.rule).items() if value is not None}
    return {"id": armed.id, **told, "used": armed.used}
