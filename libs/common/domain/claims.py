"""What an idempotency key was first used for. A claim promises nothing by itself: the append to the log does."""

from datetime import datetime

import msgspec

from libs.common.domain.channels import Channel


class RequestClaim(msgspec.Struct, frozen=True, kw_only=True):
    """`id` is `keys.claim_id(...)`; `fingerprint` tells the same body from another one."""

    id: str
    tenant: str
    fingerprint: str
    event_id: str
    created_at: datetime
    notification_id: str = ""
    """Of a direct notification; with it go whom it is for, where, and the version of its template: a repetition means
    what the first one meant, and a notification can be looked up before anything else knows of it."""
    subscriber_id: str = ""
    channels: tuple[Channel, ...] = ()
    template_version: int = 0
