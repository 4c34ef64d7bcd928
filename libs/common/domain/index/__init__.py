"""The router's index of all subscriptions: who wants this event, and how. It answers from memory what `matches` over
every subscription would answer, in microseconds; it refuses to know clocks, suppressions and where subscribers live.
"""

from libs.common.domain.index.model import Counts, Gathered, IndexedSubscriber, Profile, Subscription
from libs.common.domain.index.subscriptions import SubscriptionIndex

__all__ = ["Counts", "Gathered", "IndexedSubscriber", "Profile", "Subscription", "SubscriptionIndex"]
