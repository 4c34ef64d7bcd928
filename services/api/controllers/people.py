"""The calls of people: subscribe, log in, preferences, unsubscribe, and how many there are."""

import msgspec
from litestar import Controller, get, post
from litestar.params import JSONBody, URLEncodedBody

from libs.common.domain.people import parse_email
from libs.common.domain.subscribers import Subscriber
from services.api.given import GivenLimits, GivenPeople, GivenSettings, GivenSubscribers
from services.api.schemas.people import Login, Message, Stats, Subscribe, Token
from services.api.schemas.preferences import Preferences, StoredPreferences
from services.api.security.access import AnyRequest, PersonRequest, require_person


class PublicController(Controller):
    """What needs no credential."""

    tags = ("people",)

    @post("/subscribe", status_code=200, summary="Subscribe")
    async def subscribe(
        self, request: AnyRequest, data: JSONBody[Subscribe], people: GivenPeople, limits: GivenLimits
    ) -> Message:
        """Make an account; with a known address and its password, subscribe again and store the preferences."""

        def edit(subscriber: Subscriber) -> Subscriber:
            return data.preferences.apply(msgspec.structs.replace(subscriber, active=data.subscribed))

        await people.subscribe(data.email, data.password, edit, limits.network(request))
        return Message("Subscribed successfully")

    @post("/token", status_code=200, summary="Log in")
    async def token(
        self,
        request: AnyRequest,
        data: URLEncodedBody[Login],
        people: GivenPeople,
        limits: GivenLimits,
        settings: GivenSettings,
    ) -> Token:
        """An access token for an address and its password."""
        try:
            email = parse_email(data.username)
        except ValueError:
            email = None  # nobody has it, which takes as long to say as a wrong password
        access_token = await people.log_in(email, data.password, limits.network(request))
        return Token(access_token, round(settings.access_token_ttl.total_seconds()))

    @get("/stats", summary="How many people are subscribed")
    async def stats(self, subscribers: GivenSubscribers, settings: GivenSettings) -> Stats:
        """The number of active subscribers."""
        return Stats(await subscribers.count_active(settings.default_tenant))


class PersonController(Controller):
    """What a person may do with a token."""

    tags = ("people",)
    guards = (require_person,)
    security = ({"token": []},)

    @post("/unsubscribe", status_code=200, summary="Unsubscribe")
    async def unsubscribe(self, request: PersonRequest, people: GivenPeople) -> Message:
        """From the answer on nothing is sent any more."""
        await people.unsubscribe(request.user)
        return Message("Unsubscribed successfully")

    @post("/preferences", status_code=200, summary="Set preferences")
    async def set_preferences(
        self, request: PersonRequest, data: JSONBody[Preferences], people: GivenPeople
    ) -> Message:
        """In place of the lists that there were."""
        await people.change(request.user, data.apply)
        return Message("Preferences updated successfully")

    @get("/preferences", summary="Read preferences")
    async def preferences(self, request: PersonRequest, people: GivenPeople) -> StoredPreferences:
        """The preferences as they are."""
        return StoredPreferences.of(await people.find(request.user))
