"""Direct notifications: send a template to a user, see what became of it, read it, withdraw it; and what providers say
of it. A person's list of them is in `feed.py`."""

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody

from libs.common.domain import event_words
from libs.common.domain.api_keys import Scope
from libs.common.domain.errors import Flaw, InvalidInput
from services.api.controllers.feed import FeedController
from services.api.given import GivenNotifications, GivenNotifying, GivenReceipts
from services.api.idempotency import idempotency_key, is_key
from services.api.notifications import shown
from services.api.schemas.notifications import (
    AcceptedNotification,
    Applied,
    NewNotification,
    QueuedChannel,
    ReceiptBody,
    ShownNotification,
)
from services.api.security.access import CallerRequest, Person, ServiceRequest, require_person_or, require_scope
from services.api.security.callbacks import require_provider

_BY_KEY = (require_scope(Scope.NOTIFICATIONS),)
_BY_BOTH = (require_person_or(Scope.NOTIFICATIONS),)


class NotificationsController(FeedController):
    """One template for one user. Another tenant's notifications, and another person's, are not there. With the feed in
    one controller, since they share a path."""

    tags = ("notifications",)

    @post(
        "/notifications",
        status_code=202,
        guards=_BY_KEY,
        security=[{"api_key": []}],
        summary="Notify a user",
    )
    async def notify(
        self, request: ServiceRequest, data: JSONBody[NewNotification], notifying: GivenNotifying
    ) -> Response[AcceptedNotification]:
        """The same idempotency key with the same body: the same answer, one effect."""
        trace = event_words.traceparent(request.headers.get("traceparent"))
        claim = await notifying.accept(request.user.tenant, data, _key(request, data), trace)
        answer = AcceptedNotification(
            id=claim.notification_id,
            event_id=claim.event_id,
            user_id=claim.subscriber_id,
            channels={channel.value: QueuedChannel() for channel in claim.channels},
        )
        return Response(answer, status_code=202, headers={"Location": f"/notifications/{claim.notification_id}"})

    @get(
        "/notifications/{notification_id:str}",
        guards=_BY_BOTH,
        security=[{"api_key": []}, {"token": []}],
        summary="What became of a notification",
    )
    async def status(
        self, request: CallerRequest, notification_id: FromPath[str], notifications: GivenNotifications
    ) -> ShownNotification:
        """The state of every channel, with its attempts; for the service that sent it and for its owner."""
        return shown(await notifications.find(request.user.tenant, notification_id, _owner(request)))

    @post(
        "/notifications/{notification_id:str}/read",
        status_code=200,
        guards=_BY_BOTH,
        security=[{"api_key": []}, {"token": []}],
        summary="Mark a notification read",
    )
    async def read(
        self, request: CallerRequest, notification_id: FromPath[str], notifications: GivenNotifications
    ) -> ShownNotification:
        """409 while nothing of it has reached anybody. Doing it again changes nothing."""
        return shown(await notifications.read(request.user.tenant, notification_id, _owner(request)))

    @post(
        "/v1/notifications/{notification_id:str}/cancel",
        status_code=200,
        guards=_BY_BOTH,
        security=[{"api_key": []}, {"token": []}],
        summary="Withdraw a notification",
    )
    async def cancel(
        self, request: CallerRequest, notification_id: FromPath[str], notifications: GivenNotifications
    ) -> ShownNotification:
        """What was not sent will not be; 409 with the states when there is nothing left to withdraw."""
        return shown(await notifications.cancel(request.user.tenant, notification_id, _owner(request)))

    @post(
        "/notifications/{notification_id:str}/receipt",
        status_code=200,
        guards=(require_provider,),
        security=[{"provider_token": []}],
        summary="A provider says what became of a message",
    )
    async def receipt(
        self, notification_id: FromPath[str], data: JSONBody[ReceiptBody], receipts: GivenReceipts
    ) -> Applied:
        """200 also for what is late, repeated or unknown: a provider must not try again for ever."""
        return Applied(await receipts.take(notification_id, data.receipt()))


def _key(request: ServiceRequest, data: NewNotification) -> str:
    """The idempotency key, which may stand in the header or in the body. Raises InvalidInput when they differ."""
    header, body = idempotency_key(request), data.idempotency_key
    if body is None:
        return header
    if not is_key(body):
        raise InvalidInput(Flaw("idempotency_key", "must have 1 to 255 printable ASCII characters"))
    if header not in ("", body):
        raise InvalidInput(Flaw("idempotency_key", "differs from the header Idempotency-Key"))
    return body


def _owner(request: CallerRequest) -> str | None:
    """Whose notifications the caller may see; None: all of the tenant's."""
    return request.user.subscriber_id if isinstance(request.user, Person) else None
