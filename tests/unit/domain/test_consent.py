"""Whether a delivery may be sent, by what is known at that moment."""

from datetime import UTC, datetime, timedelta

import pytest

from libs.common.domain.channels import MAIN_ENDPOINT, Channel
from libs.common.domain.consent import Recipient, check, suppression_key
from libs.common.domain.deliveries import Work
from libs.common.domain.messages import Event
from libs.common.domain.retry import Settle
from libs.common.domain.states import State
from libs.common.domain.suppressions import Reason, address_key, reason_of

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ADDRESSES = {
    (Channel.EMAIL, MAIN_ENDPOINT): "ann@example.org",
    (Channel.SMS, MAIN_ENDPOINT): "+15005550006",
    (Channel.PUSH, "phone"): "token",
}
ANN = Recipient(active=True, addresses=ADDRESSES)


def work(channel: Channel = Channel.EMAIL, endpoint: str = MAIN_ENDPOINT, expires: datetime | None = None) -> Work:
    event = Event(id="1", source="/shop", time=NOW, tenant="acme", eventid="e", expiresat=expires)
    return Work(event, channel, "ann", "d", endpoint)


@pytest.mark.parametrize(
    ("wanted", "recipient", "result"),
    [
        (work(), ANN, "ann@example.org"),
        (work(Channel.SMS), ANN, "+15005550006"),
        (work(Channel.PUSH, "phone"), ANN, "token"),
        (work(Channel.INAPP), ANN, "ann"),
        (work(Channel.PUSH, "tablet"), ANN, Settle(State.UNDELIVERABLE, "no_address")),
        (work(), None, Settle(State.SUPPRESSED, "unknown_subscriber")),
        (work(), Recipient(active=False, addresses=ADDRESSES), Settle(State.SUPPRESSED, "unsubscribed")),
        (work(expires=NOW), ANN, Settle(State.EXPIRED, "expired")),
        (work(expires=NOW + timedelta(seconds=1)), ANN, "ann@example.org"),
    ],
)
def test_an_address_or_the_state_to_rest_in(wanted: Work, recipient: Recipient | None, result: str | Settle) -> None:
    assert check(wanted, recipient, NOW, {}) == result


@pytest.mark.parametrize("reason", Reason)
def test_a_suppressed_address_gets_nothing(reason: Reason) -> None:
    suppressed = {address_key("acme", Channel.EMAIL, "ann@example.org"): reason}
    found = check(work(), ANN, NOW, suppressed)
    assert found == Settle(State.SUPPRESSED, f"suppressed_{reason.lower()}")
    assert check(work(Channel.SMS), ANN, NOW, suppressed) == "+15005550006"


def test_somebody_else_at_the_same_tenant_is_not_concerned() -> None:
    suppressed = {address_key("acme", Channel.EMAIL, "bob@example.org"): Reason.COMPLAINT}
    assert check(work(), ANN, NOW, suppressed) == "ann@example.org"


@pytest.mark.parametrize("wanted", [work(Channel.PUSH, "phone"), work(Channel.INAPP), work(Channel.WEBHOOK)])
def test_channels_without_lasting_addresses_are_not_asked_about(wanted: Work) -> None:
    assert suppression_key(wanted, ANN) is None


def test_nor_is_anybody_without_an_address() -> None:
    assert suppression_key(work(), None) is None
    assert suppression_key(work(), Recipient(active=True)) is None


def test_a_key_stands_for_one_address_of_one_tenant_on_one_channel() -> None:
    key = address_key("acme", Channel.EMAIL, "ann@example.org")
    assert key == address_key("acme", Channel.EMAIL, " Ann@Example.org ")
    others = [("other", Channel.EMAIL, "ann@example.org"), ("acme", Channel.SMS, "ann@example.org")]
    assert key not in {address_key(*other) for other in others}
    assert "ann" not in key


def test_a_receipts_reason_is_understood() -> None:
    assert (reason_of("bounced"), reason_of("complained")) == (Reason.HARD_BOUNCE, Reason.COMPLAINT)
    assert reason_of("MANUAL") is Reason.MANUAL
    with pytest.raises(ValueError, match="nonsense"):
        reason_of("nonsense")
