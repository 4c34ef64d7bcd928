"""What a provider of the HTTP contract says of a message that it may have."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.adapters.http import Answer
from libs.common.domain.channels import Channel
from libs.common.domain.messages import Event
from libs.common.domain.outcome import Accepted, NotNow, Unknown
from libs.common.domain.retry import UnknownPolicy
from libs.common.testing.senders import QueryableSender, ScriptedSender
from services.dispatcher.channels.base import Message
from services.dispatcher.channels.contract import ContractSender
from services.dispatcher.unknown import Queryable, policy_of

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


@dataclass
class Line:
    """Answers one GET."""

    answer: object
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    async def get(self, url, headers, deadline):
        self.requests.append((url, dict(headers)))
        return self.answer


def a_message():
    event = Event(id="1", source="/shop", time=NOON, tenant="acme", eventid="e1")
    return Message("d/1", "n1", Channel.SMS, "ann", "+4917", "Shipped", "On its way", event)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (Answer(200, {}, b'[{"provider_message_id": "m1"}]'), Accepted("m1")),
        (Answer(200, {}, b'[{"id": "m2", "to": "x"}, {"id": "m3"}]'), Accepted("m2")),
        (Answer(200, {}, b"[{}]"), Accepted("")),
        (Answer(200, {}, b"[]"), None),
        (Answer(200, {}, b"{}"), Unknown("unreadable_answer")),
        (Answer(200, {}, b"[1]"), Unknown("unreadable_answer")),
        (Answer(200, {}, b"\xff"), Unknown("unreadable_answer")),
        (Answer(200, {}, None), Unknown("unreadable_answer")),
        (Answer(404, {}, b"[]"), Unknown("http_404")),
        (Answer(503, {}, b""), Unknown("http_503")),
        (NotNow("connect"), NotNow("connect")),
    ],
)
async def test_only_an_empty_array_means_that_it_has_never_seen_it(answer, found):
    line = Line(answer)
    sender = ContractSender(line, "https://sms.example/", "key", timedelta(seconds=1), (503,), lambda: NOON)

    assert await sender.look_up(a_message()) == found
    [(url, headers)] = line.requests
    assert url == "https://sms.example/messages?delivery_id=d%2F1"
    assert headers == {"Authorization": "Bearer key"}


@pytest.mark.parametrize(
    ("senders", "policy"),
    [
        ([QueryableSender()], UnknownPolicy.QUERY),
        ([QueryableSender(), ScriptedSender()], UnknownPolicy.PARK),
        ([ScriptedSender()], UnknownPolicy.PARK),
    ],
    ids=["all", "one cannot", "none can"],
)
def test_where_a_provider_cannot_be_asked_a_message_in_doubt_is_parked(senders, policy):
    assert policy_of(UnknownPolicy.QUERY, senders) is policy
    assert policy_of(UnknownPolicy.RETRY, senders) is UnknownPolicy.RETRY


def test_the_contract_can_be_asked():
    assert isinstance(ContractSender(Line(None), "", "", timedelta(seconds=1), (), lambda: NOON), Queryable)
