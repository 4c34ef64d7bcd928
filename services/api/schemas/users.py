"""Bodies and answers of `/users`: the same people as `/v1/subscribers`, in the shape that NotifyHub gave them."""

import base64
import binascii
import hashlib
import secrets
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field

from libs.common.domain.channels import MAIN_ENDPOINT
from libs.common.domain.errors import Flaw, InvalidInput
from libs.common.domain.subscribers import Device, Subscriber, Webhook
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
from services.api.schemas.preferences import Preferences, StoredPreferences
from services.api.schemas.subscribers import PushToken, ShownDevice

_MAX_DEVICES = 50
_MAX_WEBHOOKS = 10
_LONGEST_URL = 2048
_SECRET = "whsec_"  # noqa: S105 - a prefix
_SECRET_BYTES = range(24, 65)
"""What Standard Webhooks demands."""


def _url(text: str) -> str:
    """A URL that a webhook may have. Where it leads is looked at when it is dialled."""
    if len(text) > _LONGEST_URL or not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError(f"must be a URL of at most {_LONGEST_URL} printable ASCII characters")
    parts = urlsplit(text)
    _ = parts.port  # raises ValueError for one that is none
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("must begin with https:// and name a host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("must have neither a user name nor a fragment")
    return text


def _secret(text: str) -> str:
    try:
        raw = base64.b64decode(text.removeprefix(_SECRET), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not text.startswith(_SECRET) or len(raw) not in _SECRET_BYTES:
        raise ValueError("must be whsec_ and the base64 of 24 to 64 bytes")
    return text


def _device(value: Any) -> Any:
    """A bare token is a device without a name; its name must stay the same whenever it is given again."""
    if isinstance(value, str):
        return {
            "endpoint": f"d-{hashlib.sha256(value.strip().encode('utf-8', 'replace')).hexdigest()[:16]}",
            "token": value,
        }
    return value


Token = Annotated[PushToken, BeforeValidator(_device)]


class WebhookBody(Body):
    """A URL that wants a user's notifications."""

    endpoint: SubscriberId = Field(MAIN_ENDPOINT, description="A name for it.")
    url: Annotated[str, AfterValidator(_url)] = Field(examples=["https://example.com/hooks"])
    secret: Annotated[str, AfterValidator(_secret)] | None = Field(
        None, repr=False, description="Standard Webhooks; left out: kept as it is, or drawn and shown once."
    )


class UserPatch(Body):
    """What to change of a user; what is left out stays. "" takes a contact point away."""

    name: Name | None = None
    email: OptionalEmail | None = None
    phone: OptionalPhone | None = None
    push_token: str | None = Field(None, max_length=4096, description="A user with one device.")
    push_tokens: list[Token] | None = Field(None, max_length=_MAX_DEVICES, description="Tokens, or named ones.")
    locale: OptionalLocale | None = None
    time_zone: TimeZone | None = None
    active: Flag | None = None
    preferences: Preferences | None = None
    webhooks: list[WebhookBody] | None = Field(None, max_length=_MAX_WEBHOOKS)

    def check(self) -> None:
        """Raises InvalidInput for what no single field shows."""
        flaws: list[Flaw] = []
        if self.push_token is not None and self.push_tokens is not None:
            flaws.append(Flaw("push_token", "is given twice, also as push_tokens"))
        if self.push_token and not self.push_token.strip().isprintable():
            flaws.append(Flaw("push_token", "must be one line"))
        for field, names in (
            ("push_tokens", [each.endpoint for each in self.push_tokens or ()]),
            ("webhooks", [each.endpoint for each in self.webhooks or ()]),
        ):
            flaws += [
                Flaw(f"{field}[{index}]", "has a name that is there already")
                for index, name in enumerate(names)
                if name in names[:index]
            ]
        if flaws:
            raise InvalidInput(*flaws)

    def apply(self, subscriber: Subscriber) -> Subscriber:
        """The subscriber with these changes."""
        simple = ("name", "email", "phone", "locale", "time_zone", "active")
        changed = msgspec.structs.replace(
            subscriber, **{name: value for name in simple if (value := getattr(self, name)) is not None}
        )
        if self.push_tokens is not None:
            devices = tuple(Device(endpoint=each.endpoint, token=each.token) for each in self.push_tokens)
            changed = msgspec.structs.replace(changed, push_tokens=devices)
        if self.push_token is not None:
            token = self.push_token.strip()
            only = (Device(endpoint=MAIN_ENDPOINT, token=token),) if token else ()
            changed = msgspec.structs.replace(changed, push_tokens=only)
        if self.webhooks is not None:
            changed = msgspec.structs.replace(
                changed, webhooks=tuple(_webhook(each, changed) for each in self.webhooks)
            )
        return self.preferences.apply(changed) if self.preferences is not None else changed


class NewUser(UserPatch):
    """A user to be; without an id one is drawn."""

    id: SubscriberId | None = Field(None, examples=["user_002"])


class WholeUser(UserPatch):
    """A user in place of the one there is: what is left out is taken away."""

    def apply(self, subscriber: Subscriber) -> Subscriber:
        """The subscriber with these contact data and no others; wishes stay, unless preferences are given."""
        blank = msgspec.structs.replace(
            subscriber, name="", email="", phone="", push_tokens=(), locale="", time_zone="UTC"
        )
        changed = super().apply(blank)
        return changed if self.webhooks is not None else msgspec.structs.replace(changed, webhooks=())


class ShownWebhook(msgspec.Struct, frozen=True, omit_defaults=True):
    """A webhook. Its `secret` is shown when it was drawn, and never again."""

    endpoint: str
    url: str
    disabled_reason: str = ""
    secret: str = ""


class ShownUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user, as it is stored. `push_token` is the first device's."""

    id: str
    name: str
    email: str
    phone: str
    push_token: str
    push_tokens: list[ShownDevice]
    locale: str
    time_zone: str
    active: bool
    preferences: StoredPreferences
    webhooks: list[ShownWebhook]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, found: Subscriber, before: Subscriber | None = None) -> "ShownUser":
        """What is shown of a user. With `before`, what it was until now, the secrets that are new since are shown."""
        return cls._of(found, {hook.secrets[:1] for hook in before.webhooks} if before else None)

    @classmethod
    def _of(cls, found: Subscriber, known: set[tuple[str, ...]] | None) -> "ShownUser":
        return cls(
            id=found.subscriber_id,
            name=found.name,
            email=found.email,
            phone=found.phone,
            push_token=found.push_tokens[0].token if found.push_tokens else "",
            push_tokens=[ShownDevice(device.endpoint, device.token) for device in found.push_tokens],
            locale=found.locale,
            time_zone=found.time_zone,
            active=found.active,
            preferences=StoredPreferences.of(found),
            webhooks=[
                ShownWebhook(
                    hook.endpoint,
                    hook.url,
                    hook.disabled_reason,
                    hook.secrets[0] if known is not None and hook.secrets[:1] not in known else "",
                )
                for hook in found.webhooks
            ],
            created_at=found.created_at,
            updated_at=found.updated_at,
        )


class UserPage(msgspec.Struct, frozen=True):
    """A page of users by id. `next_cursor` null: it was the last."""

    items: list[ShownUser]
    next_cursor: str | None


def _webhook(wanted: WebhookBody, subscriber: Subscriber) -> Webhook:
    """A changed URL is tried again. A changed secret signs beside the one before, until the next change."""
    before = next((found for found in subscriber.webhooks if found.endpoint == wanted.endpoint), None)
    kept = before.secrets[:1] if before else ()
    if wanted.secret is not None:
        kept = tuple(dict.fromkeys((wanted.secret, *kept)))
    elif not kept:
        kept = (_SECRET + base64.b64encode(secrets.token_bytes(_SECRET_BYTES[0])).decode(),)
    same = before is not None and before.url == wanted.url
    return Webhook(
        endpoint=wanted.endpoint,
        url=wanted.url,
        secrets=kept if wanted.secret is not None or before is None else before.secrets,
        disabled_reason=before.disabled_reason if before is not None and same else "",
    )
