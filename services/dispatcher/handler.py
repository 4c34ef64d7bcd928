"""The story of a delivery: claim, check, send, settle. Groups go through it together where the database is concerned,
each delivery by itself where a provider is.

What a crash leaves, and who heals it (the record's offset is committed only after the last step):

    crash after …                      left behind                    the record comes again and …
    ---------------------------------  -----------------------------  --------------------------------------------------
    nothing yet                        nothing                        is handled as if for the first time
    claim                              SENDING                        is put off while the lease lives; after that the
                                                                      channel's policy: retry sends (again), park parks
    send, provider took it             SENDING                        the same: the only window for a double; the
                                                                      provider's idempotency key closes it
    the retry or dead record           SENDING, retry record n+1      both are put off; the first to come after the
    is on the log                                                     lease claims n+1, the other is superseded
    the state is written               RETRYING, SENT, DEAD, …        is skipped
    put off: the record is on the log  whatever it was, or nothing    one of the two claims, the other is skipped

There is no sweeper for deliveries left in SENDING, since none can be left there without a record to come: an offset is
committed only when its deliveries are settled or their next record is acknowledged by the log, and the retry topics
keep records for at least twice the whole schedule.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog

from libs.common.clock import Clock
from libs.common.domain.channels import Channel
from libs.common.domain.deliveries import Claim, Lease, Settlement, Tried, Work
from libs.common.domain.outcome import Accepted, NotNow, Outcome, Refused, Unknown
from libs.common.domain.retry import Settle, UnknownPolicy, next_step
from libs.common.observability.metrics import Metrics
from services.dispatcher.channels.base import BulkSender, Message
from services.dispatcher.checking import Checker, Cleared
from services.dispatcher.claims import Claimer, Done
from services.dispatcher.flow import Flow
from services.dispatcher.guards import Withdrawn, Withheld
from services.dispatcher.health import OUR_DEFECT
from services.dispatcher.judging import put_off
from services.dispatcher.providers import Call
from services.dispatcher.rendering import Renderer
from services.dispatcher.rules import Rules
from services.dispatcher.settling import Settler
from services.dispatcher.unknown import look_up

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ready:
    """A message that may be sent, as far as was known when consent was checked."""

    claim: Claim
    message: Message
    checked_at: datetime


Prepared = Ready | Settlement

_CONSENT_HOLDS = timedelta(milliseconds=100)
"""How old a check of consent may be when a call begins; nothing waits so long while providers are quick."""

_ANSWERS: dict[type[Outcome], str] = {
    Accepted: "accepted",
    Refused: "refused",
    NotNow: "not_now",
    Unknown: "unknown",
}


@dataclass(frozen=True)
class Route:
    """How one channel is served: by which providers, how long a call may take in all, and what happens when nobody can
    tell whether a message went out."""

    channel: Channel
    flow: Flow
    deadline: timedelta
    policy: UnknownPolicy = UnknownPolicy.RETRY


class Dispatcher:
    """Takes groups of deliveries of one channel through the story. Raises only defects of ours: what is away is waited
    for, and what a provider does is an outcome."""

    def __init__(
        self,
        route: Route,
        rules: Rules,
        claimer: Claimer,
        checker: Checker,
        renderer: Renderer,
        settler: Settler,
        clock: Clock,
        metrics: Metrics,
        draw_owner: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._route = route
        self._rules = rules
        self._claimer = claimer
        self._checker = checker
        self._renderer = renderer
        self._settler = settler
        self._clock = clock
        self._metrics = metrics
        self._draw_owner = draw_owner

    async def handle(self, group: Sequence[Work], done: Done) -> None:
        """The whole story of a group."""
        await self.deliver(await self.prepare(group, done), done)

    async def prepare(self, group: Sequence[Work], done: Done) -> list[Prepared]:
        """Claim and check: what is to be sent now, and what ends without being sent."""
        group = await self._hold_back(group, done)
        if not group:
            return []
        now = self._clock()
        lease = Lease(self._draw_owner(), now, now + self._rules.lease)
        claimed = await self._claimer.claim(group, lease, done)
        return await self._check(claimed)

    async def deliver(self, prepared: Sequence[Prepared], done: Done) -> None:
        """Send and settle, each delivery at its own pace."""
        ready = [each for each in prepared if not isinstance(each, Settlement)]
        ended = [each for each in prepared if isinstance(each, Settlement)]
        bulk = self._route.flow.bulk
        sending = (
            [self._send_together(bulk, ready, done)]
            if ready and bulk is not None
            else [self._send(each, done) for each in ready]
        )
        results = await asyncio.gather(
            *sending, *(self._settle(settlement, done) for settlement in ended), return_exceptions=True
        )
        for result in results:  # each must have come to its end before the first fault is told
            if isinstance(result, BaseException):
                raise result

    def stop(self) -> None:
        """Begin no call any more: what waits for its turn is put off, what is being sent is settled. It stops all
        who share this route, as a process stops as a whole."""
        self._route.flow.stop()

    # hold back

    async def _hold_back(self, group: Sequence[Work], done: Done) -> Sequence[Work]:
        """Those of `group` that providers have room for; the others are put off before they are claimed, which costs an
        append and no write to the database. What has expired comes to its end however long nothing can be sent."""
        room = await self._route.flow.room(len(group))
        if room.calls is None or room.calls >= len(group):
            return group
        now = self._clock()
        expired = [work for work in group if work.event.expiresat is not None and work.event.expiresat <= now]
        waiting = [work for work in group if work.event.expiresat is None or work.event.expiresat > now]
        later = waiting[room.calls :]
        if later:
            withheld = room.held or Withheld("no_room")
            step = put_off(self._rules.schedule, now, withheld.reason, withheld.wait)
            self._metrics.count("put_off", len(later), channel=self._route.channel, reason=withheld.reason)
            _log.info("put_off", channel=self._route.channel, deliveries=len(later), reason=withheld.reason)
            await self._claimer.put_off(later, step, now, done)
        return [*waiting[: room.calls], *expired]

    # check

    async def _check(self, claimed: Sequence[Claim | Settlement]) -> list[Prepared]:
        prepared: list[Prepared] = [each for each in claimed if isinstance(each, Settlement)]
        checked = await self._checker.check([each for each in claimed if isinstance(each, Claim)])
        prepared += [each for each in checked if isinstance(each, Settlement)]
        cleared = [each for each in checked if isinstance(each, Cleared)]
        for each, message in zip(cleared, await self._renderer.render(cleared), strict=True):
            if message is None:
                prepared.append(self._give_back(each.claim, Withheld("not_rendered_in_time")))
            elif isinstance(message, Settle):
                prepared.append(Settlement(each.claim, message, self._clock()))
            else:
                prepared.append(Ready(each.claim, message, each.checked_at))
        return prepared

    async def _objection(self, ready: Ready) -> Withheld | None:
        """Consent again, if it was not checked right now: a message may wait for its turn for as long as its lease, and
        no attempt may start after an acknowledged unsubscribe."""
        if self._clock() - ready.checked_at < _CONSENT_HOLDS:
            return None
        [found] = await self._checker.check([ready.claim])
        if isinstance(found, Settlement):
            assert isinstance(found.step, Settle)  # noqa: S101 - a check ends a delivery or clears it
            return Withdrawn(found.step.reason, step=found.step)
        return None if found.address == ready.message.to else Withheld("address_changed")

    # send

    async def _send(self, ready: Ready, done: Done) -> None:
        await self._settle(await self._attempt(ready), done)

    async def _attempt(self, ready: Ready) -> Settlement:
        claim, message = ready.claim, ready.message
        flow, policy, lane = self._route.flow, self._route.policy, claim.work.event.lane
        looked_up = claim.in_doubt and policy is UnknownPolicy.QUERY
        if looked_up and (found := await look_up(flow.providers, message, lane, self._clock)) is not None:
            if isinstance(found, Withheld):
                return self._give_back(claim, found)
            return self._conclude(claim, [found], self._clock(), looked_up=True)
        # In doubt, another provider may be asked only where a second message is the lesser evil.
        alone = claim.in_doubt and not looked_up and policy is not UnknownPolicy.RETRY
        objection = partial(self._objection, ready)
        calls = await flow.ask(message, lane, self._last_start(claim), objection, alone=alone)
        return (
            self._give_back(claim, calls)
            if isinstance(calls, Withheld)
            else self._conclude(claim, calls, self._clock())
        )

    async def _send_together(self, sender: BulkSender, ready: Sequence[Ready], done: Done) -> None:
        settlements: list[Settlement] = []
        provider = self._route.flow.providers[0]
        async with provider.slots.taken(ready[0].claim.work.event.lane):
            in_time: list[Ready] = []
            for each in ready:
                withheld = provider.stopping or await self._objection(each)
                if withheld is None and self._clock() >= self._last_start(each.claim):
                    withheld = Withheld("no_slot_in_time")
                if withheld is None:
                    in_time.append(each)
                else:
                    settlements.append(self._give_back(each.claim, withheld))
            at, started = self._clock(), time.perf_counter()
            outcomes = await _send_many(sender, [each.message for each in in_time])
            seconds, now = time.perf_counter() - started, self._clock()
            settlements += [
                self._conclude(each.claim, [Call(sender.provider, outcome, at, seconds)], now)
                for each, outcome in zip(in_time, outcomes, strict=True)
            ]
        await asyncio.gather(*(self._settle(settlement, done) for settlement in settlements))

    def _last_start(self, claim: Claim) -> datetime:
        """A call that began later could outlive the claim."""
        return claim.lease_until - self._route.deadline - self._rules.margin

    def _give_back(self, claim: Claim, withheld: Withheld) -> Settlement:
        """Nothing was sent: the same attempt, later, unless it is over."""
        now = self._clock()
        if isinstance(withheld, Withdrawn):
            return Settlement(claim, withheld.step, now)
        self._metrics.count("put_off", channel=claim.work.channel, reason=withheld.reason)
        return Settlement(claim, put_off(self._rules.schedule, now, withheld.reason, withheld.wait), now)

    def _conclude(self, claim: Claim, calls: Sequence[Call], now: datetime, *, looked_up: bool = False) -> Settlement:
        last, work = calls[-1], claim.work
        wait = _longest_wait(calls)
        step = next_step(last.outcome, claim.attempt, now, self._rules.schedule, self._route.policy, wait)
        for call in calls:
            answer = _ANSWERS[type(call.outcome)]
            self._metrics.count("attempts", channel=work.channel, provider=call.provider, answer=answer)
            self._metrics.observe("attempt_seconds", call.seconds, channel=work.channel, provider=call.provider)
        if isinstance(last.outcome, Accepted):
            self._metrics.observe(
                "end_to_end_seconds", max(0.0, (now - work.event.time).total_seconds()), channel=work.channel
            )
        (_log.debug if isinstance(last.outcome, Accepted) and len(calls) == 1 else _log.info)(
            "attempt",
            delivery_id=work.delivery_id,
            event_id=work.event.eventid,
            tenant=work.event.tenant,
            channel=work.channel,
            attempt=claim.attempt,
            provider=last.provider,
            answer=_ANSWERS[type(last.outcome)],
            reason=step.reason,
            state=step.state,
            ms=round(last.seconds * 1000, 1),
            instead_of={call.provider: getattr(call.outcome, "reason", "") for call in calls[:-1]},
            looked_up=looked_up,
        )
        tried = Tried(last.at, last.provider, timedelta(seconds=last.seconds), _ANSWERS[type(last.outcome)])
        return Settlement(claim, step, now, tried)

    # settle

    async def _settle(self, settlement: Settlement, done: Done) -> None:
        await self._settler.settle(settlement)
        done(settlement.claim.work)


def _longest_wait(calls: Sequence[Call]) -> timedelta:
    """What the most patient of those that could not now asked for: the next attempt may begin with any of them."""
    wanted = (call.outcome.retry_after for call in calls if isinstance(call.outcome, NotNow))
    return max((wait for wait in wanted if wait is not None), default=timedelta())


async def _send_many(sender: BulkSender, messages: Sequence[Message]) -> list[Outcome]:
    """A sender raises for defects of ours alone. What was sent then is not known; no delivery may be lost by it."""
    if not messages:
        return []
    try:
        return await sender.send_many(messages)
    except Exception:
        _log.exception("sender.defect", provider=sender.provider)
        return [OUR_DEFECT] * len(messages)
