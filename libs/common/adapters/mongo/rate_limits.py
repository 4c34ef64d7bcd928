"""Counts for rate limits and log-in attempts in MongoDB: one document for each bucket and minute, and for each account
and network whose log-ins fail. All of them go away by themselves."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from libs.common.adapters.mongo.connect import collection_of, database_calls
from libs.common.adapters.mongo.documents import LoginAttemptDocument, RateBucketDocument
from libs.common.domain.errors import Unavailable

_TRIES = 10
"""Each one that fails means that another was counted, and after a handful of those the attempt is blocked."""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Not blocked: with the first attempt's own time, another that had read the clock a moment before it was refused."""


class MongoRates:
    """Implements `ports.RateStore`. Every call raises `Unavailable` when the answer is unknown."""

    async def take(self, bucket: str, amount: int, expires_at: datetime) -> int:
        """Take `amount` from a bucket; how much was taken from it in all, this included."""
        buckets = collection_of(RateBucketDocument)
        for _ in range(2):
            try:
                with database_calls():
                    # No upsert: two that race to make a document were seen to count one of them twice.
                    found = await buckets.find_one_and_update(
                        {"_id": bucket}, {"$inc": {"used": amount}}, return_document=ReturnDocument.AFTER
                    )
                    if found is not None:
                        return int(found["used"])
                    await buckets.insert_one({"_id": bucket, "used": amount, "expires_at": expires_at})
                    return amount
            except DuplicateKeyError:
                continue  # two made it at once: it is there now
        raise Unavailable("MongoDB: the bucket was not counted")

    async def begin_attempt(
        self, attempt: str, now: datetime, expires_at: datetime, delay: Callable[[int], timedelta]
    ) -> datetime | None:
        """Count an attempt, and let nobody try for `delay` of as many; if it is blocked: until when."""
        attempts = collection_of(LoginAttemptDocument)
        for _ in range(_TRIES):
            with database_calls():
                there = await attempts.find_one({"_id": attempt})
                if there is not None and there["blocked_until"] > now:
                    until: datetime = there["blocked_until"]
                    return until
                if await self._count(there, attempt, now, expires_at, delay):
                    return None
        return now + timedelta(seconds=1)  # so many at once are no person who mistypes

    async def _count(
        self,
        there: dict[str, Any] | None,
        attempt: str,
        now: datetime,
        expires_at: datetime,
        delay: Callable[[int], timedelta],
    ) -> bool:
        """Whether nobody else counted in between."""
        attempts = collection_of(LoginAttemptDocument)
        failures = (there["failures"] if there else 0) + 1
        wait = delay(failures)
        blocked_until = now + wait if wait else there["blocked_until"] if there else _NEVER
        wanted = {"failures": failures, "blocked_until": blocked_until, "expires_at": expires_at}
        if there is None:
            try:
                await attempts.insert_one({"_id": attempt, **wanted})
            except DuplicateKeyError:
                return False
            return True
        seen = {"_id": attempt, "failures": there["failures"], "blocked_until": there["blocked_until"]}
        return bool((await attempts.update_one(seen, {"$set": wanted})).matched_count)

    async def forget_attempt(self, attempt: str) -> None:
        """There was no failure."""
        with database_calls():
            await collection_of(LoginAttemptDocument).delete_one({"_id": attempt})
