"""Bodies and answers of `/notifications`: one template for one user, what became of it, what providers say of it."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from pydantic import BeforeValidator, ConfigDict, Field, field_validator

from libs.common.domain import event_words as words
from libs.common.domain.channels import Channel, Lane
from libs.common.domain.json_values import unstorable
from libs.common.domain.notifications import KeptAttempt
from libs.common.domain.receipts import Receipt, ReceiptStatus
from libs.common.domain.states import State
from services.api.schemas.fields import Body, Channels, SubscriberId

_MAX_DETAIL = 500

Instant = Annotated[
    datetime | None, BeforeValidator(lambda value: None if value is None else words.optional_instant(value))
]
"""RFC 3339 with an offset; `now` is none."""
TemplateId = SubscriberId
"""The same characters as other ids."""


def _upper(value: Any) -> Any:
    return value.strip().upper() if isinstance(value, str) else value


def _some_text(value: Any) -> Any:
    return "" if value is None else value


class NewNotification(Body):
    """Send a template to a user."""

    user_id: SubscriberId = Field(examples=["user_001"])
    template_id: TemplateId = Field(examples=["tpl_001"])
    channels: Channels = Field(min_length=1, description="Where to send it.", examples=[["EMAIL"]])
    variables: dict[str, Any] = Field(
        default_factory=dict, description="Values for the template.", examples=[{"name": "Ada"}]
    )
    idempotency_key: str | None = Field(None, description="Another place for the header `Idempotency-Key`.")
    lane: Lane = Field(Lane.STANDARD, description="`critical` overtakes all others and passes closed windows.")
    release_time: Instant = Field(None, description="Not before this time.")
    expires_at: Instant = Field(None, description="Of no use after this time.")

    @field_validator("channels", mode="before")
    @classmethod
    def _in_any_case(cls, value: Any) -> Any:
        return [_upper(each) for each in value] if _is_list(value) else value

    @field_validator("channels")
    @classmethod
    def _each_once(cls, value: tuple[Channel, ...]) -> tuple[Channel, ...]:
        return tuple(dict.fromkeys(value))

    @field_validator("variables")
    @classmethod
    def _storable(cls, value: dict[str, Any]) -> dict[str, Any]:
        if flaws := unstorable(value, "variables"):
            raise ValueError("; ".join(f"{flaw.pointer} {flaw.message}" for flaw in flaws))
        return value


class ReceiptBody(Body):
    """What a provider says of a notification. Its spelling is the provider's: a receipt that is refused is lost."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    channel: Annotated[Channel, BeforeValidator(_upper)]
    status: Annotated[ReceiptStatus, BeforeValidator(_upper)]
    provider_message_id: Annotated[str, BeforeValidator(_some_text)] = Field("", max_length=500)
    reason: Annotated[str, BeforeValidator(_some_text)] = Field(
        "", max_length=10_000, description="The provider's own words; kept up to 500 characters."
    )

    def receipt(self) -> Receipt:
        """The receipt that this body means."""
        # Words of a stranger that operators will read: one line, and not a long one.
        detail = " ".join("".join(each if each.isprintable() else " " for each in self.reason).split())[:_MAX_DETAIL]
        return Receipt(
            channel=self.channel,
            status=self.status,
            provider_message_id=self.provider_message_id,
            detail=detail,
        )


class Applied(msgspec.Struct, frozen=True):
    """Whether a receipt changed anything. One that did not is no error: it came late, twice, or for another system."""

    applied: bool


class ShownEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One of several devices or URLs, which have deliveries of their own."""

    delivery_id: str
    endpoint: str
    status: State
    reason: str = ""


class ShownChannel(msgspec.Struct, frozen=True, kw_only=True):
    """A notification on one channel."""

    status: State
    reason: str = ""
    detail: str = ""
    attempts: list[KeptAttempt] = []
    provider_message_id: str = ""
    due_at: datetime | None = None
    updated_at: datetime | None = None
    deliveries: list[ShownEndpoint] = []


class ShownNotification(msgspec.Struct, frozen=True, kw_only=True):
    """A notification as it stands. `status` is that of the channel that came furthest."""

    id: str
    event_id: str
    user_id: str
    status: State
    channels: dict[str, ShownChannel]
    created_at: datetime


class QueuedChannel(msgspec.Struct, frozen=True):
    """A channel of a notification that was just accepted."""

    status: State = State.QUEUED


class AcceptedNotification(msgspec.Struct, frozen=True, kw_only=True):
    """What the sender is told of an accepted notification."""

    id: str
    event_id: str
    user_id: str
    status: State = State.QUEUED
    channels: dict[str, QueuedChannel]


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)
