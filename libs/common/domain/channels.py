"""The channels by which a notification can reach somebody, and the lanes in which events travel.

Adding a channel: one member here, one file and one line in `services/dispatcher/channels`; its topics follow by
themselves.
"""

from enum import StrEnum


class Channel(StrEnum):
    """A way to reach a subscriber; upper case on the wire."""

    EMAIL = "EMAIL"
    SMS = "SMS"
    PUSH = "PUSH"
    WEBHOOK = "WEBHOOK"
    INAPP = "INAPP"


class Lane(StrEnum):
    """Separate topics and consumers, so that a newsletter (`bulk`) never delays a one-time code (`critical`)."""

    CRITICAL = "critical"
    STANDARD = "standard"
    BULK = "bulk"


DEFAULT_CHANNELS: tuple[Channel, ...] = (Channel.EMAIL, Channel.INAPP)
"""What a subscriber who names no channel gets: an e-mail, and an entry in the feed."""

MAIN_ENDPOINT = "main"
"""The endpoint of a channel on which a subscriber has one contact point (e-mail, phone, feed).

A delivery is identified by its endpoint's *name*, never by an address: the log holds no personal data, and a corrected
address is still the same delivery.
"""

EVERY_ENDPOINT = "*"
"""Stands for all endpoints that a subscriber has on a channel; never the name of one (names have no asterisk)."""

SEVERAL_ENDPOINTS: frozenset[Channel] = frozenset({Channel.PUSH, Channel.WEBHOOK})
"""The channels on which a subscriber can have several endpoints: one notification goes to each, as its own delivery."""
