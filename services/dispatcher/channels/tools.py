"""What the senders of all channels share; made once by `app.py`."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from libs.common.adapters.http import Outbound
from libs.common.clock import Clock

if TYPE_CHECKING:
    from services.dispatcher.channels.inapp import Feed  # which itself is built with these tools
    from services.dispatcher.channels.retiring import Endpoints


@dataclass(frozen=True)
class Tools:
    """The ways out."""

    outbound: Outbound
    """To providers, whose URLs the operator gives."""
    guarded: Outbound
    """To URLs that customers and their browsers give."""
    feed: Feed
    endpoints: Endpoints
    clock: Clock
    at_end: AsyncExitStack = field(default_factory=AsyncExitStack)
    """What is to be closed when the process stops."""
