"""Subscribers of a tenant, for its services. Another tenant's are not there."""

from litestar import Controller, Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody

from libs.common.domain.api_keys import Scope
from services.api.errors import Taken
from services.api.given import GivenAccess, GivenNewId, GivenSubscribers
from services.api.schemas.subscribers import NewSubscriber, ShownSubscriber, SubscriberPatch
from services.api.security.access import ServiceRequest, require_scope


class SubscribersController(Controller):
    """Make, read, change and erase subscribers."""

    path = "/v1/subscribers"
    tags = ("subscribers",)
    guards = (require_scope(Scope.SUBSCRIBERS),)
    security = ({"api_key": []},)

    @post("/", status_code=201, summary="Make a subscriber")
    async def create(
        self,
        request: ServiceRequest,
        data: JSONBody[NewSubscriber],
        subscribers: GivenSubscribers,
        new_id: GivenNewId,
    ) -> Response[ShownSubscriber]:
        """With the id given, or one that is drawn. An id that is there already: 409."""
        data.check()
        made = await subscribers.create(request.user.tenant, data.id or new_id(), data.apply)
        if made is None:
            raise Taken("There is a subscriber of this id.")
        return Response(
            ShownSubscriber.of(made), status_code=201, headers={"Location": f"{self.path}/{made.subscriber_id}"}
        )

    @get("/{subscriber_id:str}", summary="Read a subscriber")
    async def read(
        self, request: ServiceRequest, subscriber_id: FromPath[str], subscribers: GivenSubscribers
    ) -> ShownSubscriber:
        """The subscriber as it is."""
        return ShownSubscriber.of(await subscribers.get(request.user.tenant, subscriber_id))

    @patch("/{subscriber_id:str}", summary="Change a subscriber")
    async def change(
        self,
        request: ServiceRequest,
        subscriber_id: FromPath[str],
        data: JSONBody[SubscriberPatch],
        subscribers: GivenSubscribers,
    ) -> ShownSubscriber:
        """What is left out stays."""
        data.check()
        return ShownSubscriber.of(await subscribers.change(request.user.tenant, subscriber_id, data.apply))

    @delete("/{subscriber_id:str}", summary="Erase a subscriber")
    async def erase(
        self,
        request: ServiceRequest,
        subscriber_id: FromPath[str],
        subscribers: GivenSubscribers,
        access: GivenAccess,
    ) -> None:
        """Contact data, wishes and the account are gone; nothing reaches the person any more."""
        await subscribers.erase(request.user.tenant, subscriber_id)
        access.forget_person(request.user.tenant, subscriber_id)
