"""Makes the messages that providers get out of events: an event's own words as they are, or a template's words in the
recipient's language. Nothing from an event can break out of its line: a subject carries no control characters, whatever
upstream sent."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from libs.common.domain.channels import Channel
from libs.common.domain.deliveries import Claim
from libs.common.domain.retry import Settle
from libs.common.domain.states import State
from libs.common.domain.templates import Template
from libs.common.domain.unsubscribe import Link, link_key, unsubscribe_url
from libs.common.templates.rendering import TEMPLATE_ERROR, CannotRender, Rendered, one_line, preview
from services.dispatcher.channels.base import Message
from services.dispatcher.checking import Cleared
from services.dispatcher.patience import Patience
from services.dispatcher.ports import Templates

_log = structlog.get_logger(__name__)

UNKNOWN_TEMPLATE = "unknown_template"

_BUDGET = 2.0
"""Seconds for the templates of a group, while its lane waits: a dear one takes 0.1 s a message, 10 s for a group."""

_Place = tuple[str, str, int]
"""Tenant, template, version."""


class Links:
    """Makes unsubscribe links; none, unless it is known where the API is found and how links are signed."""

    def __init__(self, public_base_url: str = "", secret_key: str = "") -> None:
        self._base = public_base_url
        self._key = link_key(secret_key) if public_base_url and secret_key else None

    def unsubscribe(self, claim: Claim) -> str:
        """Where the recipient unsubscribes from everything; empty, when there is no such place."""
        if self._key is None:
            return ""
        return unsubscribe_url(self._base, self._key, Link(claim.work.event.tenant, claim.work.subscriber_id))


class Renderer:
    """Renders groups of deliveries."""

    def __init__(
        self,
        templates: Templates,
        patience: Patience,
        links: Links,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`monotonic` gives seconds."""
        self._templates = templates
        self._patience = patience
        self._links = links
        self._monotonic = monotonic

    async def render(self, cleared: Sequence[Cleared]) -> list[Message | Settle | None]:
        """For each delivery its message, or why there can be none: a template that is not there or does not go with
        the event's variables. None: not in time; the first always is. Templates run in a thread: each may take some ms,
        and lines must not wait for them."""
        places = {_place(each.claim) for each in cleared if each.claim.work.event.data.template_id}
        if not places:
            return [self._message(each, _own_words(each.claim)) for each in cleared]
        templates = {place: await self._find(place) for place in places}
        return await asyncio.to_thread(self._render_in_time, cleared, templates)

    def _render_in_time(
        self, cleared: Sequence[Cleared], templates: Mapping[_Place, Template | None]
    ) -> list[Message | Settle | None]:
        rendered: list[Message | Settle | None] = []
        until = self._monotonic() + _BUDGET
        for each in cleared:
            if rendered and self._monotonic() > until:
                break
            rendered.append(self._render_alone(each, templates))
        return [*rendered, *[None] * (len(cleared) - len(rendered))]

    async def _find(self, place: _Place) -> Template | None:
        return await self._patience.insist("render", lambda: self._templates.find(*place))

    def _render_alone(self, each: Cleared, templates: Mapping[_Place, Template | None]) -> Message | Settle:
        try:
            return self._render(each, templates)
        except Exception:  # a defect of ours is this delivery's end: its group would meet it again at every attempt
            _log.exception("render.defect", delivery_id=each.claim.work.delivery_id)
            return _cannot(each.claim, TEMPLATE_ERROR, "a defect")

    def _render(self, each: Cleared, templates: Mapping[_Place, Template | None]) -> Message | Settle:
        event = each.claim.work.event
        if not event.data.template_id:
            return self._message(each, _own_words(each.claim))
        template = templates[_place(each.claim)]
        if template is None:
            return _cannot(each.claim, UNKNOWN_TEMPLATE, "there is no such template")
        built_in = {
            "name": each.recipient.name,
            "subscriber_id": each.claim.work.subscriber_id,
            "unsubscribe_url": self._links.unsubscribe(each.claim),
        }
        variables = {**built_in, **event.data.variables}
        try:
            words = preview(template, each.claim.work.channel, each.recipient.locale, variables)
        except CannotRender as error:
            return _cannot(each.claim, error.reason, str(error))
        return self._message(each, words)

    def _message(self, each: Cleared, words: Rendered) -> Message:
        work = each.claim.work
        return Message(
            delivery_id=work.delivery_id,
            notification_id=work.notification_id,
            channel=work.channel,
            subscriber_id=work.subscriber_id,
            to=each.address,
            subject=words.subject,
            text=words.text,
            event=work.event,
            html=words.html,
            endpoint=work.endpoint,
            secrets=each.recipient.secrets_for(work),
            unsubscribe_url=self._links.unsubscribe(each.claim) if work.channel is Channel.EMAIL else "",
        )


def _own_words(claim: Claim) -> Rendered:
    """Title and content, which are never taken for a template."""
    event = claim.work.event
    return Rendered(
        subject=one_line(event.data.title or event.subject or event.topic or "Notification"),
        text=event.data.content or event.data.title,
    )


def _place(claim: Claim) -> _Place:
    event = claim.work.event
    return event.tenant, event.data.template_id, event.data.template_version


def _cannot(claim: Claim, reason: str, detail: str) -> Settle:
    tenant, template_id, version = _place(claim)
    _log.info(
        "render.failed",
        delivery_id=claim.work.delivery_id,
        event_id=claim.work.event.eventid,
        tenant=tenant,
        channel=claim.work.channel,
        template_id=template_id,
        template_version=version,
        reason=reason,
        detail=detail,
    )
    return Settle(State.UNDELIVERABLE, reason)
