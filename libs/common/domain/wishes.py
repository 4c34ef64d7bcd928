"""From a subscriber's wishes, as they stand on the log, to what the index holds. What cannot be used (a filter of an
older dialect, a window that is none) is left out and named: one bad subscription must not cost its owner the others."""

from functools import lru_cache

import msgspec

from libs.common.domain.channels import DEFAULT_CHANNELS
from libs.common.domain.index import IndexedSubscriber, Profile, Subscription
from libs.common.domain.messages import SubscriberChanged, WantedSubscription
from libs.common.domain.pattern import EVERYTHING, InvalidPattern, Pattern, parse_json
from libs.common.domain.subscribers import DEFAULT_SUBSCRIPTION
from libs.common.domain.windows import parse_time_zone, parse_window


class Unusable(msgspec.Struct, frozen=True):
    """A part of somebody's wishes that was left out, and why. Names no address."""

    part: str
    reason: str


def read_wishes(changed: SubscriberChanged) -> tuple[IndexedSubscriber, list[Unusable]]:
    """The subscriber for the index, and what had to be left out.

    For events that name the subscriber the channels and windows of the default subscription hold.
    """
    unusable: list[Unusable] = []
    time_zone = changed.time_zone
    try:
        parse_time_zone(time_zone)
    except ValueError as error:
        unusable.append(Unusable("time_zone", str(error)))
        time_zone = "UTC"
    subscriptions: list[Subscription] = []
    for wanted in changed.subscriptions:
        try:
            subscriptions.append(_subscription(wanted, time_zone))
        except (InvalidPattern, ValueError, TypeError) as error:
            unusable.append(Unusable(f"subscription {wanted.name}", str(error)))
    own = next((one.profile for one in subscriptions if one.name == DEFAULT_SUBSCRIPTION), None)
    subscriber = IndexedSubscriber(
        id=changed.subscriber_id,
        ordinal=changed.ordinal,
        version=changed.version,
        active=changed.active,
        subscriptions=tuple(subscriptions),
        profile=own or Profile(DEFAULT_CHANNELS, (), time_zone),
    )
    return subscriber, unusable


def _subscription(wanted: WantedSubscription, time_zone: str) -> Subscription:
    for window in wanted.windows:
        parse_window(window)
    pattern = EVERYTHING if wanted.pattern is None else _parse(msgspec.json.encode(wanted.pattern))
    profile = Profile(wanted.channels or DEFAULT_CHANNELS, wanted.windows, time_zone)
    return Subscription(wanted.name, pattern, profile)


@lru_cache(maxsize=65_536)
def _parse(source: bytes) -> Pattern:
    """Many people want the same: equal filters are parsed once."""
    return parse_json(source)
