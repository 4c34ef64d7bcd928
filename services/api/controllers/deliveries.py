"""Deliveries, for operators: see one, and decide about one of which nobody can tell whether it was sent."""

from litestar import Controller, get, post
from litestar.params import FromPath, JSONBody
from pydantic import Field

from libs.common.domain.api_keys import Scope
from libs.common.domain.notifications import KeptDelivery
from services.api.errors import NotFound
from services.api.given import GivenNotifications, GivenResolving
from services.api.resolving import Resolution
from services.api.schemas.fields import Body, Name
from services.api.security.access import ServiceRequest, require_scope


class Resolve(Body):
    """What the operator found out."""

    state: Resolution
    reason: Name = Field("", description="In your words; kept with the delivery.")


class DeliveriesController(Controller):
    """One notification on one channel to one endpoint."""

    path = "/v1/deliveries"
    tags = ("operations",)
    guards = (require_scope(Scope.OPERATIONS),)
    security = ({"api_key": []},)

    @get("/{delivery_id:str}", summary="Read a delivery")
    async def read(
        self, request: ServiceRequest, delivery_id: FromPath[str], notifications: GivenNotifications
    ) -> KeptDelivery:
        """With its attempts."""
        found = await notifications.delivery(request.user.tenant, delivery_id)
        if found is None:
            raise NotFound
        return found

    @post("/{delivery_id:str}/resolve", status_code=200, summary="Decide about an UNKNOWN delivery")
    async def resolve(
        self, request: ServiceRequest, delivery_id: FromPath[str], data: JSONBody[Resolve], resolving: GivenResolving
    ) -> KeptDelivery:
        """409 with the state unless it is UNKNOWN. RETRY may send it a second time."""
        return await resolving.resolve(request.user.tenant, delivery_id, data.state, data.reason)
