"""The records that a settled attempt leaves on the log: another try, a dead letter, a change of state. Pure."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from libs.common.domain.deliveries import PutOff, Settlement, Work
from libs.common.domain.messages import RetryDelivery, StateChange, StatusChanged
from libs.common.domain.retry import RetryAt, Settle
from libs.common.domain.states import State
from libs.common.ports import Record
from libs.common.topics import Topics

_encode = msgspec.json.Encoder().encode


def records_of(settlement: Settlement, topics: Topics) -> Iterator[Record]:
    """Everything that the log must have before the state may be written."""
    work, step = settlement.claim.work, settlement.step
    match step:
        case PutOff():
            yield put_off_record(work, settlement.claim.attempt, step, settlement.at, topics)
            return  # to whoever watches nothing has happened
        case RetryAt():
            retry = retry_of(work, settlement.claim.attempt + 1, step.due_at, settlement.at, step.reason)
            yield _record(topics.retry(work.channel, step.tier), retry)
        case Settle(State.DEAD):
            dead = retry_of(work, settlement.claim.attempt, settlement.at, settlement.at, step.reason)
            yield _record(topics.dead(work.channel), dead)
        case Settle():
            pass
    yield Record(topics.status, _encode(status_of(settlement)), work.delivery_id.encode())


def put_off_record(work: Work, attempt: int, step: PutOff, now: datetime, topics: Topics) -> Record:
    """The same attempt, later."""
    retry = retry_of(work, attempt, step.due_at, now, step.reason)
    return _record(topics.retry(work.channel, step.tier), retry)


def retry_of(work: Work, attempt: int, due_at: datetime, now: datetime, reason: str) -> RetryDelivery:
    """`work` on its way to attempt number `attempt`."""
    return RetryDelivery(
        event=work.event,
        channel=work.channel,
        delivery_id=work.delivery_id,
        subscriber_id=work.subscriber_id,
        endpoint=work.endpoint,
        attempt=attempt,
        due_at=due_at,
        first_at=work.first_at or now,
        reason=reason,
        generation=work.generation,
    )


def status_of(settlement: Settlement) -> StatusChanged:
    """The change of state, for whoever watches."""
    work, state = settlement.claim.work, settlement.state
    return StatusChanged(
        id=f"{work.delivery_id}:{state}:{settlement.attempt}",
        type=f"sigmora.delivery.{state.lower()}.v1",
        time=settlement.at,
        subject=work.delivery_id,
        tenant=work.event.tenant,
        data=StateChange(
            delivery_id=work.delivery_id,
            notification_id=work.notification_id,
            event_id=work.event.eventid,
            subscriber_id=work.subscriber_id,
            channel=work.channel,
            state=state,
            attempt=settlement.attempt,
            reason=settlement.step.reason,
            provider=settlement.tried.provider if settlement.tried else "",
            provider_message_id=settlement.provider_message_id,
        ),
    )


def _record(topic: str, retry: RetryDelivery) -> Record:
    return Record(topic, _encode(retry), retry.delivery_id.encode())
