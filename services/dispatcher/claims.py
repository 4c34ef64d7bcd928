"""The first step: who sends a delivery. New ones are claimed by one insert; those that were there before are read,
judged and taken where that is right, or put off while somebody else holds them."""

from collections.abc import Callable, Sequence
from datetime import datetime

from libs.common.appending import append_all
from libs.common.domain.deliveries import Claim, Lease, PutOff, Settlement, Take, Work
from libs.common.domain.retry import UnknownPolicy
from libs.common.domain.states import State
from libs.common.ports import Log
from services.dispatcher.judging import GiveUp, Ours, judge, put_off
from services.dispatcher.patience import Patience
from services.dispatcher.ports import DeliveryStore
from services.dispatcher.records import put_off_record
from services.dispatcher.rules import Rules

_IN_DOUBT = frozenset({State.UNKNOWN, State.SENDING})
"""Found so, an earlier attempt may have reached a provider: its end is unknown, or its process died."""

Done = Callable[[Work], None]
"""Called once for each delivery, when nothing remains to be done for its record."""


class Claimer:
    """Claims the deliveries of one channel."""

    def __init__(self, store: DeliveryStore, log: Log, rules: Rules, policy: UnknownPolicy, patience: Patience) -> None:
        self._store = store
        self._log = log
        self._rules = rules
        self._policy = policy
        self._patience = patience

    async def claim(self, works: Sequence[Work], lease: Lease, done: Done) -> list[Claim | Settlement]:
        """Every claim that is ours to send now, and deliveries given up; for all others `done` has been called."""
        works = _distinct(works, done)
        fresh = [work for work in works if _is_fresh(work)]
        known = await self._insert(fresh, lease)
        claims: list[Claim | Settlement] = [
            Claim(work, 1, 1, lease.until) for work in fresh if work.delivery_id not in known
        ]
        seen = [work for work in works if work.delivery_id in known or not _is_fresh(work)]
        return claims + await self._claim_seen(seen, lease, done) if seen else claims

    async def _claim_seen(self, works: Sequence[Work], lease: Lease, done: Done) -> list[Claim | Settlement]:
        claims, unknown = await self._claim_found(works, lease, done)
        # A delivery that the database does not know is claimed like a new one: it was put off before it was ever
        # claimed, or the database was restored from a backup.
        there = await self._insert(unknown, lease)
        claims += [Claim(work, work.attempt, 1, lease.until) for work in unknown if work.delivery_id not in there]
        # What is there now may be our own claim, whose answer was lost: only another look can tell.
        more, gone = await self._claim_found([work for work in unknown if work.delivery_id in there], lease, done)
        await self._put_off([(work, self._elsewhere(lease)) for work in gone], lease.now, done)
        return claims + more

    async def _claim_found(
        self, works: Sequence[Work], lease: Lease, done: Done
    ) -> tuple[list[Claim | Settlement], list[Work]]:
        """Judge those that the database knows, and take what is right to take; the others are handed back."""
        if not works:
            return [], []
        ids = [work.delivery_id for work in works]
        found = await self._patience.insist("claim", lambda: self._store.find(ids))
        claims: list[Claim | Settlement] = []
        takes: list[tuple[Work, Take]] = []
        later: list[tuple[Work, PutOff]] = []
        for work in works:
            if work.delivery_id not in found:
                continue
            known = found[work.delivery_id]
            match judge(work, known, lease, self._rules.schedule, self._policy):
                case Ours():
                    claims.append(Claim(work, known.attempt, known.fence, known.lease_until or lease.until))
                case Take() as take:
                    takes.append((work, take))
                case PutOff() as step:
                    later.append((work, step))
                case GiveUp(_, step):
                    lost = Claim(work, known.attempt, known.fence, known.lease_until or lease.now)
                    claims.append(Settlement(lost, step, lease.now))
                case _:
                    done(work)
        taken, missed = await self._take(takes, lease)
        await self._put_off([*later, *((work, self._elsewhere(lease)) for work in missed)], lease.now, done)
        return claims + taken, [work for work in works if work.delivery_id not in found]

    def _elsewhere(self, lease: Lease) -> PutOff:
        return put_off(self._rules.schedule, lease.now, "claimed_elsewhere", self._rules.lease)

    async def put_off(self, works: Sequence[Work], step: PutOff, now: datetime, done: Done) -> None:
        """Look at them again later, without a claim: as if their records had come later. Nothing is written to their
        states, so it costs one append."""
        await self._put_off([(work, step) for work in works], now, done)

    async def _insert(self, works: Sequence[Work], lease: Lease) -> set[str]:
        if not works:
            return set()
        return await self._patience.insist("claim", lambda: self._store.insert([(work, lease) for work in works]))

    async def _take(self, takes: Sequence[tuple[Work, Take]], lease: Lease) -> tuple[list[Claim], list[Work]]:
        if not takes:
            return [], []
        won = await self._patience.insist("claim", lambda: self._store.take([take for _, take in takes], lease))
        return (
            [
                Claim(work, take.attempt, take.fence, lease.until, take.found.state in _IN_DOUBT)
                for work, take in takes
                if work.delivery_id in won
            ],
            [work for work, _ in takes if work.delivery_id not in won],
        )

    async def _put_off(self, later: Sequence[tuple[Work, PutOff]], now: datetime, done: Done) -> None:
        """Somebody else's: look again later. Nothing is written to the state, which is not ours to write."""
        if not later:
            return
        records = [put_off_record(work, work.attempt, step, now, self._rules.topics) for work, step in later]
        await self._patience.insist("log", lambda: append_all(self._log, records))
        for work, _ in later:
            done(work)


def _is_fresh(work: Work) -> bool:
    """Whether it comes from a batch: one that comes from a retry topic has been claimed before."""
    return work.first_at is None


def _distinct(group: Sequence[Work], done: Done) -> list[Work]:
    """Each delivery once, by the record that asks for the latest attempt; of the others nothing remains to be done,
    since that one's own record stands for it."""
    chosen: dict[str, Work] = {}
    for work in group:
        other = chosen.get(work.delivery_id)
        loser: Work | None = work
        if other is None or work.attempt > other.attempt:
            chosen[work.delivery_id], loser = work, other
        if loser is not None:
            done(loser)
    return list(chosen.values())
