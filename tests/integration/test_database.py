"""The database's life: what is asked of it before it is open, or after it was closed, is not available."""

from typing import Any

import pytest

from libs.common.adapters.mongo.connect import collection_of, open_database
from libs.common.adapters.mongo.documents import SubscriberDocument
from libs.common.domain.errors import Unavailable
from libs.common.settings import MongoSettings

pytestmark = pytest.mark.integration


async def test_a_database_that_was_closed_is_not_available_rather_than_a_defect(stack: Any, database_name: str) -> None:
    """A consumer that starts before its database is there once took the closed client of another for its own."""
    async with open_database(MongoSettings(uri=stack.mongodb_uri, db=database_name)):
        assert await collection_of(SubscriberDocument).count_documents({}) == 0

    with pytest.raises(Unavailable):
        collection_of(SubscriberDocument)
