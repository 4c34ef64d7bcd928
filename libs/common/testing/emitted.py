"""Events of the past, in memory."""

from libs.common.domain.messages import Event


class MemoryEvents:
    """Implements `ports.EventSource`."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Event] = {}

    async def find(self, tenant: str, event_id: str) -> Event | None:
        """The event, if it is kept."""
        return self.kept.get((tenant, event_id))
