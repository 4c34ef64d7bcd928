"""Accepts direct notifications: one template for one user. Each is an event that names its recipient, and goes the way
of all events; here it is only made sure that there is such a user and such a template, and that nothing it needs is
missing. A repetition means what the first one meant, also when the template or the user changed since."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec

from libs.common.clock import Clock
from libs.common.domain import event_words as words
from libs.common.domain import keys
from libs.common.domain.channels import Channel
from libs.common.domain.claims import RequestClaim
from libs.common.domain.errors import Conflict, Flaw, InvalidInput
from libs.common.domain.messages import Content, Event
from libs.common.domain.templates import Template, choose_variant, variants_for
from libs.common.templates.language import NotAllowed
from libs.common.templates.validation import required_variables
from services.api.accepting import Events, encode
from services.api.changing import Subscribers
from services.api.claiming import Claims
from services.api.errors import Incomplete, Missing, NotFound
from services.api.schemas.notifications import NewNotification

SOURCE = "/notifications"
TYPE = "sigmora.notification"

CurrentTemplate = Callable[[str, str], Awaitable[Template | None]]
"""The current version of a tenant's template."""


class Notifying:
    """Takes direct notifications to the log."""

    def __init__(
        self,
        events: Events,
        claims: Claims,
        subscribers: Subscribers,
        current_template: CurrentTemplate,
        clock: Clock,
    ) -> None:
        self._events = events
        self._claims = claims
        self._subscribers = subscribers
        self._current_template = current_template
        self._clock = clock

    async def accept(self, tenant: str, wanted: NewNotification, key: str, traceparent: str = "") -> RequestClaim:
        """Bring a notification to the log; the claim that stands for it. `key` is the idempotency key, if there is one.

        Raises:
            Missing: there is no such user, or no such template.
            Incomplete: a variable is missing that the template needs, or words in the user's language.
            InvalidInput: too large, or it expires before it is released.
            Conflict: the key was used for another body before.
            Unavailable: it may be on the log; the same request again heals it.
        """
        source_id = self._events.fallback_id(tenant, key)
        claim = _claim(tenant, wanted, key, source_id, self._clock())
        try:
            version = await self._check(tenant, wanted)
        except InvalidInput:
            first = await self._claims.find(claim.id) if key else None
            if first is None:
                raise
        else:
            claim = msgspec.structs.replace(claim, template_version=version)
            first = (await self._claims.make([claim])).get(claim.id, claim)
        if first.fingerprint != claim.fingerprint:
            raise Conflict(Flaw("body", "differs from what was sent under this key before"))
        event = _event(source_id, first, wanted, traceparent)
        await self._events.append([event], encode([event], ["body"]))
        return first

    async def _check(self, tenant: str, wanted: NewNotification) -> int:
        """The version of the template that it will be sent with."""
        if wanted.release_time and wanted.release_time > self._clock() + words.MAX_AHEAD:
            raise InvalidInput(Flaw("release_time", f"must not be more than {words.MAX_AHEAD.days} days ahead"))
        if wanted.release_time and wanted.expires_at and wanted.expires_at <= wanted.release_time:
            raise InvalidInput(Flaw("expires_at", "must be later than release_time"))
        try:
            locale = await self._subscribers.locale(tenant, wanted.user_id)
        except NotFound:
            raise Missing(Flaw("user_id", f"there is no user {wanted.user_id}")) from None
        template = await self._current_template(tenant, wanted.template_id)
        if template is None:
            raise Missing(Flaw("template_id", f"there is no published template {wanted.template_id}"))
        # In a thread: to find out what a large template needs takes a second.
        if flaws := await asyncio.to_thread(_flaws, template, wanted, locale):
            raise Incomplete(*flaws)
        return template.version


def _flaws(template: Template, wanted: NewNotification, locale: str) -> list[Flaw]:
    """What would make it fail for sure, in the user's language."""
    chosen = {channel: choose_variant(template.variants, channel, locale) for channel in wanted.channels}
    wordless = [
        Flaw(f"channels[{index}]", f"the template has no words for {channel}{_in_language(template, channel, locale)}")
        for index, channel in enumerate(wanted.channels)
        if chosen[channel] is None
    ]
    try:
        needed = required_variables((channel, words) for channel, words in chosen.items() if words is not None)
    except NotAllowed as error:  # stored when the language allowed more than today
        return [*wordless, Flaw("template_id", f"the template cannot be rendered: {error}")]
    return wordless + [
        Flaw(f"variables.{name}", "is needed by the template") for name in sorted(needed - wanted.variables.keys())
    ]


def _in_language(template: Template, channel: Channel, locale: str) -> str:
    """Which language is missing; empty, when the channel has words in none."""
    if not variants_for(template.variants, channel):
        return ""
    return f" in {locale}, and none by default" if locale else " by default, and the user has no locale"


def _claim(tenant: str, wanted: NewNotification, key: str, source_id: str, now: datetime) -> RequestClaim:
    event_id = keys.event_id(tenant, SOURCE, source_id)
    body = wanted.model_dump(mode="json", exclude={"idempotency_key"})
    return RequestClaim(
        id=keys.claim_id(tenant, SOURCE, f"key:{key}" if key else source_id),
        tenant=tenant,
        fingerprint=keys.fingerprint(msgspec.json.encode(body, order="sorted")),
        event_id=event_id,
        # In whole milliseconds, as the database keeps it: the event of a repetition is the same to the byte.
        created_at=now.replace(microsecond=now.microsecond // 1000 * 1000),
        notification_id=keys.notification_id(event_id, wanted.user_id),
        subscriber_id=wanted.user_id,
        channels=wanted.channels,
    )


def _event(source_id: str, claim: RequestClaim, wanted: NewNotification, traceparent: str) -> Event:
    return Event(
        id=source_id,
        source=SOURCE,
        type=TYPE,
        time=claim.created_at,
        tenant=claim.tenant,
        eventid=claim.event_id,
        lane=wanted.lane,
        releasetime=wanted.release_time,
        expiresat=wanted.expires_at,
        traceparent=traceparent,
        data=Content(
            recipients=(claim.subscriber_id,),
            channels=claim.channels,
            template_id=wanted.template_id,
            template_version=claim.template_version,
            variables=wanted.variables,
        ),
    )
