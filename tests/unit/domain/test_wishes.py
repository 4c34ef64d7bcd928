"""From wishes on the log to the index: what cannot be used costs its owner that part alone."""

from typing import Any

import pytest

from libs.common.domain.channels import DEFAULT_CHANNELS, Channel
from libs.common.domain.index import Profile
from libs.common.domain.messages import SubscriberChanged, WantedSubscription
from libs.common.domain.wishes import read_wishes

GOOD = WantedSubscription(name="good", pattern={"topic": ["tech"]}, channels=(Channel.SMS,), windows=("08:00-20:00",))


def wishes(*subscriptions: WantedSubscription, time_zone: str = "UTC") -> SubscriberChanged:
    return SubscriberChanged(
        tenant="acme",
        subscriber_id="u1",
        ordinal=7,
        version=3,
        active=True,
        time_zone=time_zone,
        subscriptions=subscriptions,
    )


def test_a_subscription_keeps_its_filter_channels_and_windows() -> None:
    subscriber, unusable = read_wishes(wishes(GOOD, time_zone="Europe/Berlin"))

    (one,) = subscriber.subscriptions
    assert (subscriber.id, subscriber.ordinal, subscriber.version, subscriber.active) == ("u1", 7, 3, True)
    assert one.profile == Profile((Channel.SMS,), ("08:00-20:00",), "Europe/Berlin")
    assert unusable == []


def test_who_names_no_channel_gets_the_default_ones() -> None:
    subscriber, _ = read_wishes(wishes(WantedSubscription(name="all")))

    assert subscriber.subscriptions[0].profile.channels == DEFAULT_CHANNELS


def test_the_default_subscription_says_how_somebody_is_addressed() -> None:
    default = WantedSubscription(name="default", channels=(Channel.PUSH,), windows=("08:00-20:00",))

    assert read_wishes(wishes(GOOD, default))[0].profile == Profile((Channel.PUSH,), ("08:00-20:00",))
    assert read_wishes(wishes(GOOD))[0].profile == Profile(DEFAULT_CHANNELS)


@pytest.mark.parametrize(
    "bad",
    [
        {"pattern": {"topic": "tech"}},
        {"pattern": {"topic": [{"no-such-operator": 1}]}},
        {"pattern": {}},
        {"windows": ("always",)},
    ],
)
def test_a_subscription_that_cannot_be_used_is_left_out_and_named(bad: dict[str, Any]) -> None:
    subscriber, unusable = read_wishes(wishes(WantedSubscription(name="bad", **bad), GOOD))

    assert [one.name for one in subscriber.subscriptions] == ["good"]
    assert [one.part for one in unusable] == ["subscription bad"]


def test_an_unknown_time_zone_means_utc() -> None:
    subscriber, unusable = read_wishes(wishes(GOOD, time_zone="Mars/Olympus"))

    assert subscriber.subscriptions[0].profile.time_zone == "UTC"
    assert [one.part for one in unusable] == ["time_zone"]
