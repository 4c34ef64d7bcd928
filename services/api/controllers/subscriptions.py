"""A person's own named filters."""

from litestar import Controller, delete, get, put
from litestar.params import FromPath, JSONBody

from libs.common.domain.errors import Flaw, InvalidInput
from libs.common.domain.people import parse_subscriber_id
from libs.common.domain.subscribers import MAX_SUBSCRIPTIONS, Subscriber
from services.api.errors import NotFound
from services.api.given import GivenPeople
from services.api.schemas.preferences import NamedSubscription, SubscriptionPage, Wanted
from services.api.security.access import PersonRequest, require_person


class SubscriptionsController(Controller):
    """Filters in the filter language, by name; `default` is the one that the preferences write."""

    path = "/v1/subscriptions"
    tags = ("subscriptions",)
    guards = (require_person,)
    security = ({"token": []},)

    @get("/", summary="My subscriptions")
    async def all(self, request: PersonRequest, people: GivenPeople) -> SubscriptionPage:
        """All of them."""
        found = await people.find(request.user)
        return SubscriptionPage([NamedSubscription.of(wanted) for wanted in (found.subscriptions if found else ())])

    @get("/{name:str}", summary="One subscription")
    async def one(self, request: PersonRequest, name: FromPath[str], people: GivenPeople) -> NamedSubscription:
        """The subscription of this name."""
        found = await people.find(request.user)
        wanted = found.subscription(name) if found else None
        if wanted is None:
            raise NotFound
        return NamedSubscription.of(wanted)

    @put("/{name:str}", summary="Make or replace a subscription")
    async def put(
        self, request: PersonRequest, name: FromPath[str], data: JSONBody[Wanted], people: GivenPeople
    ) -> NamedSubscription:
        """A filter that breaks a rule of the language is refused with the place and the reason."""
        try:
            wanted = data.named(parse_subscriber_id(name))
        except ValueError as error:
            raise InvalidInput(Flaw("name", str(error))) from None

        def edit(subscriber: Subscriber) -> Subscriber:
            edited = subscriber.with_subscription(wanted)
            if len(edited.subscriptions) > MAX_SUBSCRIPTIONS:
                raise InvalidInput(Flaw("name", f"is one too many: there may be {MAX_SUBSCRIPTIONS}"))
            return edited

        await people.change(request.user, edit)
        return NamedSubscription.of(wanted)

    @delete("/{name:str}", summary="Remove a subscription")
    async def remove(self, request: PersonRequest, name: FromPath[str], people: GivenPeople) -> None:
        """Its filter matches nothing any more."""

        def edit(subscriber: Subscriber) -> Subscriber:
            if subscriber.subscription(name) is None:
                raise NotFound
            return subscriber.without_subscription(name)

        await people.change(request.user, edit)
