"""Users of a tenant, in NotifyHub's shape. They are the tenant's subscribers; another tenant's are not there."""

from typing import Annotated

from litestar import Controller, Response, delete, get, patch, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from libs.common.domain.api_keys import Scope
from libs.common.domain.subscribers import Subscriber
from services.api.changing import Subscribers
from services.api.errors import Taken
from services.api.given import GivenAccess, GivenNewId, GivenSubscribers
from services.api.paging import make_name_cursor, read_name_cursor
from services.api.schemas.users import NewUser, ShownUser, UserPage, UserPatch, WholeUser
from services.api.security.access import ServiceRequest, require_scope

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="Items on a page.")]
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.")]


class UsersController(Controller):
    """Make, read, change and erase users."""

    path = "/users"
    tags = ("users",)
    guards = (require_scope(Scope.SUBSCRIBERS),)
    security = ({"api_key": []},)

    @post("/", status_code=201, summary="Make a user")
    async def create(
        self, request: ServiceRequest, data: JSONBody[NewUser], subscribers: GivenSubscribers, new_id: GivenNewId
    ) -> Response[ShownUser]:
        """With the id given, or one that is drawn. An id that is there already: 409."""
        data.check()
        blank: list[Subscriber] = []

        def edit(subscriber: Subscriber) -> Subscriber:
            blank[:] = [subscriber]
            return data.apply(subscriber)

        made = await subscribers.create(request.user.tenant, data.id or new_id(), edit)
        if made is None:
            raise Taken("There is a user of this id.")
        headers = {"Location": f"{self.path}/{made.subscriber_id}"}
        return Response(ShownUser.of(made, blank[0]), status_code=201, headers=headers)

    @get("/", summary="All users")
    async def page(
        self, request: ServiceRequest, subscribers: GivenSubscribers, limit: Limit = 20, cursor: Cursor = None
    ) -> UserPage:
        """By id."""
        after = read_name_cursor(cursor) if cursor is not None else ""
        found = await subscribers.page(request.user.tenant, limit + 1, after)
        items = [ShownUser.of(each) for each in found[:limit]]
        return UserPage(items, make_name_cursor(items[-1].id) if len(found) > limit else None)

    @get("/{user_id:str}", summary="Read a user")
    async def read(self, request: ServiceRequest, user_id: FromPath[str], subscribers: GivenSubscribers) -> ShownUser:
        """The user as it is."""
        return ShownUser.of(await subscribers.get(request.user.tenant, user_id))

    @put("/{user_id:str}", summary="Replace a user")
    async def replace(
        self, request: ServiceRequest, user_id: FromPath[str], data: JSONBody[WholeUser], subscribers: GivenSubscribers
    ) -> ShownUser:
        """What is left out is taken away, but for preferences."""
        return await _change(request, user_id, data, subscribers)

    @patch("/{user_id:str}", summary="Change a user")
    async def change(
        self, request: ServiceRequest, user_id: FromPath[str], data: JSONBody[UserPatch], subscribers: GivenSubscribers
    ) -> ShownUser:
        """What is left out stays."""
        return await _change(request, user_id, data, subscribers)

    @delete("/{user_id:str}", summary="Erase a user")
    async def erase(
        self, request: ServiceRequest, user_id: FromPath[str], subscribers: GivenSubscribers, access: GivenAccess
    ) -> None:
        """Contact data, wishes and the account are gone; nothing reaches the person any more."""
        await subscribers.erase(request.user.tenant, user_id)
        access.forget_person(request.user.tenant, user_id)


async def _change(request: ServiceRequest, user_id: str, data: UserPatch, subscribers: Subscribers) -> ShownUser:
    data.check()
    before: list[Subscriber] = []

    def edit(subscriber: Subscriber) -> Subscriber:
        before[:] = [subscriber]
        return data.apply(subscriber)

    changed = await subscribers.change(request.user.tenant, user_id, edit)
    return ShownUser.of(changed, before[0])
