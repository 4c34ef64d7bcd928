"""A provider that behaves as it is told, and the connections to it."""

from collections.abc import AsyncIterator

import pytest

from libs.common.adapters.http import Outbound, open_outbound
from libs.common.testing.providers import Provider, provider
from tests.contract.messages_to_send import OPEN


@pytest.fixture
async def server() -> AsyncIterator[Provider]:
    async with provider() as behaving:
        yield behaving


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    async with open_outbound(OPEN) as out:
        yield out
