"""How the API's parts are put together, once what they stand on is there."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from argon2 import PasswordHasher
from litestar.datastructures import State
from litestar.di import Provide
from uuid_utils import uuid7

from libs.common.clock import Clock, utc_now
from libs.common.domain.api_keys import DEV_API_KEY
from libs.common.observability.metrics import Metrics
from libs.common.observability.probes import Check
from libs.common.outbox import Outbox
from libs.common.templates.catalogue import Catalogue
from services.api.accepting import Events
from services.api.changing import Subscribers
from services.api.claiming import Claims
from services.api.feed import Feed
from services.api.limiting.limits import Limits
from services.api.notifications import Notifications
from services.api.notifying import Notifying
from services.api.people import People
from services.api.ports import Outside, SuppressionStore
from services.api.progress import EventProgress
from services.api.receipts import Receipts
from services.api.resolving import Resolving
from services.api.security.access import Access
from services.api.security.passwords import Passwords
from services.api.security.tokens import Tokens
from services.api.settings import ApiSettings
from services.api.status import StatusLog

NewId = Callable[[], str]


def draw_id() -> str:
    """An id for what cannot be derived; ids drawn later sort later."""
    return str(uuid7())


@dataclass(frozen=True)
class Dice:
    """Where time and chance come from; tests bring their own."""

    clock: Clock = utc_now
    monotonic: Callable[[], float] = time.monotonic
    new_id: NewId = draw_id
    hasher: PasswordHasher | None = None
    """A cheaper one than today's, for tests."""


@dataclass(frozen=True)
class Parts:
    """What handlers may ask for by name."""

    settings: ApiSettings
    access: Access
    limits: Limits
    people: People
    subscribers: Subscribers
    events: Events
    event_progress: EventProgress
    feed: Feed
    notifying: Notifying
    notifications: Notifications
    receipts: Receipts
    resolving: Resolving
    templates: Catalogue
    suppressions: SuppressionStore
    outbox: Outbox
    metrics: Metrics
    checks: dict[str, Check]
    new_id: NewId
    outside: Outside


NAMES = tuple(Parts.__dataclass_fields__)


def wire(settings: ApiSettings, outside: Outside, metrics: Metrics, dice: Dice) -> Parts:
    """All parts, connected."""
    topics = settings.topics.topics
    belongings = (outside.accounts, outside.feed)
    outbox = Outbox(outside.subscribers, belongings, outside.log, topics.subscriptions, metrics)
    subscribers = Subscribers(outside.subscribers, outside.ordinals, outbox, outside.cache, dice.clock)
    tokens = Tokens(
        settings.secret_key, settings.token_issuer, settings.token_audience, settings.access_token_ttl, dice.clock
    )
    claims = Claims(outside.claims)
    limits = Limits(settings, outside.rates, dice.clock)
    events = Events(outside.log, claims, topics, metrics, clock=dice.clock, new_id=dice.new_id)
    status = StatusLog(outside.log, topics.status)
    templates = Catalogue(outside.templates, outside.cache, dice.clock)
    return Parts(
        settings=settings,
        access=Access(
            tokens,
            outside.accounts,
            outside.api_keys,
            settings.credential_cache,
            () if settings.is_dev else (DEV_API_KEY,),
            dice.monotonic,
        ),
        limits=limits,
        people=People(
            outside.accounts,
            subscribers,
            Passwords(dice.hasher),
            tokens,
            limits,
            tenant=settings.default_tenant,
            clock=dice.clock,
            new_id=dice.new_id,
        ),
        subscribers=subscribers,
        events=events,
        event_progress=EventProgress(outside.progress, claims),
        feed=Feed(outside.feed),
        notifying=Notifying(events, claims, subscribers, templates.find, dice.clock),
        notifications=Notifications(outside.notifications, claims, outside.subscribers, status, dice.clock),
        receipts=Receipts(
            outside.notifications,
            outside.subscribers,
            outside.suppressions,
            outside.endpoints,
            status,
            dice.clock,
        ),
        resolving=Resolving(
            outside.notifications,
            outside.logged,
            outside.log,
            topics,
            settings.topics.schedule,
            status,
            dice.clock,
        ),
        suppressions=outside.suppressions,
        templates=templates,
        outbox=outbox,
        metrics=metrics,
        checks=outside.checks,
        new_id=dice.new_id,
        outside=outside,
    )


def dependencies() -> dict[str, Provide]:
    """Each part by its name, for `Litestar(dependencies=…)`."""
    return {name: Provide(_from_state(name), sync_to_thread=False) for name in NAMES}


def _from_state(name: str) -> Callable[[State], Any]:
    def provide(state: State) -> Any:
        return getattr(state, name)

    return provide
