"""A dispatcher on fakes, and what it takes to give it something to do."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

import msgspec
import pytest

from libs.common.adapters.cache.nothing import NoCache
from libs.common.domain import keys
from libs.common.domain.breaker import BreakerRules
from libs.common.domain.channels import MAIN_ENDPOINT, Channel
from libs.common.domain.consent import Recipient
from libs.common.domain.deliveries import Work
from libs.common.domain.messages import Content, Event, RetryDelivery, StatusChanged
from libs.common.domain.outcome import Outcome
from libs.common.domain.retry import RetrySchedule, UnknownPolicy
from libs.common.domain.states import State
from libs.common.observability.metrics import Metrics
from libs.common.templates.catalogue import Catalogue
from libs.common.testing.deliveries import Kept, MemoryDeliveries, MemoryRecipients
from libs.common.testing.log import MemoryLog
from libs.common.testing.senders import ScriptedSender
from libs.common.testing.suppressions import MemorySuppressions
from libs.common.testing.templates import MemoryTemplates
from libs.common.topics import Topics
from services.dispatcher import line as line_module
from services.dispatcher.channels.base import Sender
from services.dispatcher.checking import Checker
from services.dispatcher.claims import Claimer
from services.dispatcher.flow import Flow
from services.dispatcher.guards import Guards
from services.dispatcher.handler import Dispatcher, Route
from services.dispatcher.patience import Patience
from services.dispatcher.providers import Provider
from services.dispatcher.rendering import Links, Renderer
from services.dispatcher.rules import Rules
from services.dispatcher.settling import Settler
from services.dispatcher.unknown import policy_of
from tests.unit.dispatcher.lines import Place

START = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
DELAYS = (timedelta(seconds=5), timedelta(seconds=30))
LEASE = timedelta(seconds=25)


class World:
    """Everything around a dispatcher; `handle` works off deliveries, each time with a dispatcher that knows nothing of
    the one before, as after a restart."""

    def __init__(self) -> None:
        self.now = START
        self.topics = Topics("t.", DELAYS)
        self.log = MemoryLog()
        self.store = MemoryDeliveries()
        self.recipients = MemoryRecipients()
        self.suppressions = MemorySuppressions()
        self.templates = MemoryTemplates()
        self.links = Links()
        self.monotonic: Callable[[], float] = lambda: 0.0
        self.metrics = Metrics()
        self.sender: Sender = ScriptedSender()
        self.policy = UnknownPolicy.RETRY
        self.channel = Channel.EMAIL
        self.spares: list[Sender] = []
        self.breaker = BreakerRules(minimum=0)
        self.rate = 0.0
        self._flows: dict[tuple[int, ...], Flow] = {}
        self._owners = count(1)
        self._followed = 0

    def answering(self, *answers: Outcome | Exception | Callable[[], None]) -> ScriptedSender:
        """Give the provider a script."""
        self.sender = sender = ScriptedSender(answers)
        return sender

    def person(self, name: str = "ann", *, active: bool = True, **addresses: str) -> str:
        """Somebody who can be reached by e-mail, unless told otherwise."""
        given = addresses or {"EMAIL": f"{name}@example.org"}
        places = {(Channel(channel), MAIN_ENDPOINT): address for channel, address in given.items() if address}
        self.recipients.people["acme", name] = Recipient(active=active, addresses=places)
        return name

    def event(self, number: int = 1, **fields: object) -> Event:
        """An event."""
        given = {
            "id": str(number),
            "source": "/shop",
            "time": START,
            "tenant": "acme",
            "eventid": keys.event_id("acme", "/shop", str(number)),
            "data": Content(title="Shipped", content="It is on its way"),
        }
        return Event(**(given | fields))  # type: ignore[arg-type]  # a test's own words

    def work(self, subscriber: str = "ann", event: Event | None = None) -> Work:
        """A first delivery to `subscriber`."""
        event = event or self.event()
        delivery = keys.delivery_id(event.eventid, subscriber, self.channel, MAIN_ENDPOINT)
        return Work(event, self.channel, subscriber, delivery)

    def retries(self) -> list[RetryDelivery]:
        """Every retry record on the log, in order."""
        tiers = [self.topics.retry(self.channel, tier) for tier in (1, 2)]
        found = [record for record in self.log.records if record.topic in tiers]
        return [msgspec.json.decode(record.value or b"", type=RetryDelivery) for record in found]

    def statuses(self) -> list[str]:
        """Every state that was told, in order."""
        found = self.log.of(self.topics.status)
        return [msgspec.json.decode(record.value or b"", type=StatusChanged).data.state for record in found]

    def kept(self, work: Work | None = None) -> Kept:
        """What the store has of a delivery."""
        return self.store.kept[(work or self.work()).delivery_id]

    def state(self, work: Work | None = None) -> State:
        """The state of a delivery."""
        return self.kept(work).found.state

    def pass_time(self, duration: timedelta) -> None:
        """Let time pass."""
        self.now += duration

    def flow(self) -> Flow:
        """The way to the providers; it lasts as long as they do, since what it knows of them must."""
        senders = [self.sender, *self.spares]
        key = tuple(id(sender) for sender in senders)
        if key not in self._flows:
            guards = Guards(self.channel, self.breaker, self.metrics, 2, self.seconds)
            providers = [Provider(each, guards, 8, lambda: self.now, self.rate, self.seconds) for each in senders]
            self._flows[key] = Flow(providers, self.wait)
        return self._flows[key]

    def seconds(self) -> float:
        """The time as flow control has it."""
        return (self.now - START).total_seconds()

    async def wait(self, seconds: float) -> None:
        """Let time pass, as a worker that waits."""
        self.pass_time(timedelta(seconds=seconds))

    def dispatcher(self) -> Dispatcher:
        """A dispatcher of a process that has just started."""
        patience = Patience()
        policy = policy_of(self.policy, [self.sender, *self.spares])
        rules = Rules(self.topics, RetrySchedule(DELAYS), LEASE)
        route = Route(self.channel, self.flow(), timedelta(seconds=5), policy)
        claimer = Claimer(self.store, self.log, rules, policy, patience)
        settler = Settler(self.store, self.log, self.topics, lambda: self.now, patience, self.metrics)
        return Dispatcher(
            route,
            rules,
            claimer,
            Checker(self.recipients, self.suppressions, patience, lambda: self.now),
            self.renderer(),
            settler,
            lambda: self.now,
            self.metrics,
            lambda: f"owner-{next(self._owners)}",
        )

    def renderer(self, patience: Patience | None = None) -> Renderer:
        """What renders, on the templates that there are."""
        templates = Catalogue(self.templates, NoCache(), lambda: self.now)
        return Renderer(templates, patience or Patience(), self.links, self.monotonic)

    async def handle(self, *works: Work) -> list[Work]:
        """Work off deliveries; those that are done."""
        done: list[Work] = []
        await self.dispatcher().handle(works, done.append)
        return done

    def next_work(self) -> Work:
        """The delivery of the newest retry record, once it is due."""
        retry = self.retries()[-1]
        self.now = max(self.now, retry.due_at)
        return work_of(retry)

    async def work_off(self, *works: Work) -> None:
        """Work off deliveries, and after them every retry record as it falls due, until none is left. One that was
        handled before comes again, as records do."""
        await self.handle(*works)
        while self._followed < len(self.retries()):
            retry = self.retries()[self._followed]
            self._followed += 1
            self.now = max(self.now, retry.due_at)
            await self.handle(work_of(retry))


def work_of(retry: RetryDelivery) -> Work:
    """The delivery that a retry record asks for."""
    return Work(
        retry.event,
        retry.channel,
        retry.subscriber_id,
        retry.delivery_id,
        retry.endpoint,
        retry.generation,
        retry.attempt,
        retry.first_at,
    )


@pytest.fixture
def world() -> World:
    """A world with nobody in it."""
    return World()


@pytest.fixture
async def place(world, monkeypatch):
    """A line at work, with everything around it."""
    monkeypatch.setattr(line_module, "_DEFECT_PAUSE", 0.01)
    place = Place(world)
    place.line.start()
    yield place
    await place.line.close()
