"""Retires endpoints in the subscribers' documents. Nothing else is touched: what the log is told of a subscriber has no
endpoints in it, so there is no new version to be published."""

from typing import Any

from libs.common.adapters.mongo.connect import collection_of, database_calls
from libs.common.adapters.mongo.documents import SubscriberDocument, subscriber_key
from libs.common.domain.channels import Channel


class MongoEndpoints:
    """Implements the channels' `Endpoints`."""

    async def retire(
        self, tenant: str, subscriber_id: str, channel: Channel, endpoint: str, address: str, reason: str
    ) -> bool:
        """Remove a device, or disable a webhook, if it still has this address; whether it had."""
        where: dict[str, Any] = {
            "_id": subscriber_key(tenant, subscriber_id),
            "tenant": tenant,  # a colon in a tenant's name must not reach into another one
            "subscriber_id": subscriber_id,
        }
        if channel is Channel.PUSH:
            change: dict[str, Any] = {"$pull": {"push_tokens": {"endpoint": endpoint, "token": address}}}
        else:
            where["webhooks"] = {"$elemMatch": {"endpoint": endpoint, "url": address}}
            change = {"$set": {"webhooks.$.disabled_reason": reason}}
        with database_calls():
            result = await collection_of(SubscriberDocument).update_one(where, change)
        return bool(result.modified_count)
