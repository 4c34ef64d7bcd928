"""Endpoints in memory: remembers what was retired."""

from libs.common.domain.channels import Channel
from libs.common.domain.errors import Unavailable


class MemoryEndpoints:
    """Implements the channels' `Endpoints`; `away` makes it refuse."""

    def __init__(self) -> None:
        self.away = False
        self.retired: list[tuple[str, str, Channel, str, str, str]] = []
        """Tenant, subscriber, channel, endpoint, address and reason of each."""

    async def retire(
        self, tenant: str, subscriber_id: str, channel: Channel, endpoint: str, address: str, reason: str
    ) -> bool:
        """Remember it."""
        if self.away:
            raise Unavailable("MongoDB: away")
        self.retired.append((tenant, subscriber_id, channel, endpoint, address, reason))
        return True
