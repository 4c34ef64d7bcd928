"""What the end of a call says about the provider, for its circuit breaker. Pure.

outcome                                       the provider is
--------------------------------------------  ------------------------------------------------------------
Accepted, Refused                             healthy: it answered, whatever it thinks of the recipient
Refused by ourselves, before any call         not judged
NotNow: busy (408, 409, 425, 429, SMTP 4xx)   not judged: it works, and says when to come back
NotNow: no connection, 5xx, 401 and 403       failing; the last two refuse us, and so everybody's messages
Unknown                                       failing: no usable answer
Unknown, because of a defect of ours          not judged
"""

import re

from libs.common.domain.outcome import Accepted, NotNow, Outcome, Refused, Unknown

_NEVER_ASKED = frozenset(
    {
        "blocked_address",
        "blocked_url",
        "channel_not_configured",
        "invalid_address",
        "invalid_request",
        "invalid_secret",
        "invalid_subscription",
        "invalid_url",
        "no_secret",
    }
)
_BUSY = re.compile(r"http_4\d\d|smtp_4\d\d|rate_limited|quota_exceeded|queue_full|phone_unreachable")
_FAILING = frozenset({"http_401", "http_403", "smtp_421"})
"""Of those that look busy. SMTP 421: the server closes shop (RFC 5321, 3.8)."""
OUR_DEFECT = Unknown("sender_defect")


def is_healthy(outcome: Outcome) -> bool | None:
    """Whether the provider works; None if nobody can tell from this."""
    match outcome:
        case Accepted():
            return True
        case Refused(reason):
            return None if reason in _NEVER_ASKED else True
        case NotNow(reason):
            return None if _BUSY.fullmatch(reason) and reason not in _FAILING else False
        case Unknown():
            return None if outcome == OUR_DEFECT else False
