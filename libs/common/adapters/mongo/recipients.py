"""Whom a delivery reaches, read from the subscribers' documents at send time. Reads nothing that sending does not
need."""

from collections.abc import Collection, Mapping
from typing import Any

from libs.common.adapters.mongo.connect import collection_of, database_calls
from libs.common.adapters.mongo.documents import SubscriberDocument, subscriber_key
from libs.common.domain.channels import MAIN_ENDPOINT, Channel
from libs.common.domain.consent import Recipient

_NEEDED = {
    "tenant": 1,
    "subscriber_id": 1,
    "active": 1,
    "name": 1,
    "locale": 1,
    "time_zone": 1,
    "email": 1,
    "phone": 1,
    "push_tokens": 1,
    "webhooks": 1,
}


class MongoRecipientStore:
    """Implements the dispatcher's `RecipientStore`."""

    async def find(self, subscribers: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Recipient]:
        """The recipients by (tenant, subscriber id)."""
        ids = [subscriber_key(tenant, subscriber) for tenant, subscriber in subscribers]
        with database_calls():
            cursor = collection_of(SubscriberDocument).find({"_id": {"$in": ids}}, _NEEDED)
            # By the fields, not the `_id`: a colon in a tenant's name must not make two people one.
            return {(each["tenant"], each["subscriber_id"]): _recipient(each) async for each in cursor}


def _recipient(document: Mapping[str, Any]) -> Recipient:
    addresses = {
        (Channel.EMAIL, MAIN_ENDPOINT): document.get("email", ""),
        (Channel.SMS, MAIN_ENDPOINT): document.get("phone", ""),
        **{(Channel.PUSH, token["endpoint"]): token["token"] for token in document.get("push_tokens", ())},
        **{
            (Channel.WEBHOOK, hook["endpoint"]): hook["url"]
            for hook in document.get("webhooks", ())
            if not hook.get("disabled_reason")
        },
    }
    return Recipient(
        active=document.get("active", True),
        name=document.get("name", ""),
        locale=document.get("locale", ""),
        time_zone=document.get("time_zone", "UTC"),
        addresses={place: address for place, address in addresses.items() if address},
        secrets={hook["endpoint"]: tuple(hook.get("secrets", ())) for hook in document.get("webhooks", ())},
    )
