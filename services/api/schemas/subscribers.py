"""Bodies and answers of `/v1/subscribers`: what a service may say of a subscriber of its tenant."""

from datetime import datetime
from typing import Annotated

import msgspec
from pydantic import AfterValidator, Field

from libs.common.domain.channels import Channel
from libs.common.domain.errors import Flaw, InvalidInput
from libs.common.domain.json_values import CONTROL
from libs.common.domain.subscribers import MAX_SUBSCRIPTIONS, Device, Subscriber
from services.api.schemas.fields import (
    Body,
    Flag,
    Name,
    OptionalEmail,
    OptionalLocale,
    OptionalPhone,
    SubscriberId,
    TimeZone,
)
from services.api.schemas.preferences import NamedSubscription, Preferences, StoredPreferences, Wanted

_MAX_TOKEN = 4096
_MAX_DEVICES = 50


def _token(text: str) -> str:
    token = text.strip()
    if not token or len(token) > _MAX_TOKEN or CONTROL.search(token):
        raise ValueError(f"must be one line of 1 to {_MAX_TOKEN} characters")
    return token


class PushToken(Body):
    """A device: the token of today under a name that stays."""

    endpoint: SubscriberId = Field(description="A name for the device.", examples=["phone"])
    token: Annotated[str, AfterValidator(_token)]


class NamedFilter(Wanted):
    """A named filter in a list of them."""

    name: SubscriberId


class SubscriberPatch(Body):
    """What to change; what is left out stays. "" takes a contact point away."""

    name: Name | None = None
    email: OptionalEmail | None = None
    phone: OptionalPhone | None = None
    push_tokens: list[PushToken] | None = Field(None, max_length=_MAX_DEVICES)
    locale: OptionalLocale | None = None
    time_zone: TimeZone | None = None
    active: Flag | None = None
    subscriptions: list[NamedFilter] | None = Field(
        None, max_length=MAX_SUBSCRIPTIONS, description="In place of all that there are."
    )
    preferences: Preferences | None = Field(None, description="Another way to write the subscription `default`.")

    def check(self) -> None:
        """Raises InvalidInput for what no single field shows: names that occur twice, filters that break a rule."""
        flaws: list[Flaw] = []
        for field, names in (
            ("push_tokens", [device.endpoint for device in self.push_tokens or ()]),
            ("subscriptions", [wanted.name for wanted in self.subscriptions or ()]),
        ):
            flaws += [
                Flaw(f"{field}[{index}]", "has a name that is there already")
                for index, name in enumerate(names)
                if name in names[:index]
            ]
        for index, wanted in enumerate(self.subscriptions or ()):
            try:
                wanted.named(wanted.name, f"subscriptions[{index}].")
            except InvalidInput as error:
                flaws += error.flaws
        if flaws:
            raise InvalidInput(*flaws)

    def apply(self, subscriber: Subscriber) -> Subscriber:
        """The subscriber with these changes."""
        simple = {
            name: value
            for name in ("name", "email", "phone", "locale", "time_zone", "active")
            if (value := getattr(self, name)) is not None
        }
        changed = msgspec.structs.replace(subscriber, **simple)
        if self.push_tokens is not None:
            devices = tuple(Device(endpoint=device.endpoint, token=device.token) for device in self.push_tokens)
            changed = msgspec.structs.replace(changed, push_tokens=devices)
        if self.subscriptions is not None:
            wanted = tuple(found.named(found.name) for found in self.subscriptions)
            changed = msgspec.structs.replace(changed, subscriptions=wanted)
        return self.preferences.apply(changed) if self.preferences is not None else changed


class NewSubscriber(SubscriberPatch):
    """A subscriber to be; without an id one is drawn."""

    id: SubscriberId | None = None


class ShownDevice(msgspec.Struct, frozen=True):
    """A device, as it is stored."""

    endpoint: str
    token: str


class ShownSubscriber(msgspec.Struct, frozen=True, kw_only=True):
    """A subscriber, as it is stored."""

    id: str
    active: bool
    name: str
    email: str
    phone: str
    push_tokens: list[ShownDevice]
    locale: str
    time_zone: str
    channels: list[Channel]
    subscriptions: list[NamedSubscription]
    preferences: StoredPreferences
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, found: Subscriber) -> "ShownSubscriber":
        """What is shown of a subscriber."""
        return cls(
            id=found.subscriber_id,
            active=found.active,
            name=found.name,
            email=found.email,
            phone=found.phone,
            push_tokens=[ShownDevice(device.endpoint, device.token) for device in found.push_tokens],
            locale=found.locale,
            time_zone=found.time_zone,
            channels=sorted({channel for wanted in found.subscriptions for channel in wanted.channels}),
            subscriptions=[NamedSubscription.of(wanted) for wanted in found.subscriptions],
            preferences=StoredPreferences.of(found),
            version=found.version,
            created_at=found.created_at,
            updated_at=found.updated_at,
        )
