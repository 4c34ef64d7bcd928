"""What people can do for themselves: subscribe, log in, set preferences, unsubscribe. An account and its subscriber are
two documents: the account comes first, and whoever finds one without the other makes the other."""

from collections.abc import Callable

import msgspec

from libs.common.clock import Clock
from libs.common.domain.accounts import Account
from libs.common.domain.errors import Unavailable
from libs.common.domain.subscribers import Subscriber
from services.api.changing import Edit, Subscribers
from services.api.errors import NotFound, Taken, Unauthorized
from services.api.limiting.limits import Limits
from services.api.ports import AccountStore
from services.api.security.access import Person
from services.api.security.passwords import Passwords
from services.api.security.tokens import Tokens


class People:
    """The stories behind `/subscribe`, `/token`, `/unsubscribe` and `/preferences`."""

    def __init__(
        self,
        accounts: AccountStore,
        subscribers: Subscribers,
        passwords: Passwords,
        tokens: Tokens,
        limits: Limits,
        *,
        tenant: str,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._accounts = accounts
        self._subscribers = subscribers
        self._passwords = passwords
        self._tokens = tokens
        self._limits = limits
        self._tenant = tenant
        self._clock = clock
        self._new_id = new_id

    async def subscribe(self, email: str, password: str, edit: Edit, network: str = "") -> None:
        """Make an account with its subscriber; with a known address and its password, subscribe again.

        Exactly one password is hashed or verified either way. Raises `Taken` for a known address with another password,
        `TooMany` after failures or too many passwords from this `network`, `Unavailable`.
        """
        account = await self._accounts.find(self._tenant, email)
        if account is not None:
            await self._prove(account, password, network)
        else:
            account = await self._make_account(email, password, network)
        await self._subscribers.put(
            self._tenant, account.subscriber_id, lambda found: edit(_with_address(found, email))
        )

    async def log_in(self, email: str | None, password: str, network: str = "") -> str:
        """An access token. Unknown address, address that is none (None) and wrong password look the same and take the
        same time. Raises `Unauthorized`, `TooMany` after failures from this `network`, `Unavailable`."""
        async with self._limits.login(self._tenant, email or "", network) as attempt:
            account = await self._accounts.find(self._tenant, email) if email else None
            right = await self._passwords.verify(account.password_hash if account else None, password)
            if account is None or not right:
                raise Unauthorized("Wrong username or password.")
            await self._limits.succeeded(attempt)
        if self._passwords.is_outdated(account.password_hash):
            await self._accounts.rehash(account, await self._passwords.hash(password))
        return self._tokens.issue(account)

    async def unsubscribe(self, person: Person) -> None:
        """Nothing reaches this person any more, from the answer on. Raises `Unavailable`."""
        try:
            await self._subscribers.change(
                person.tenant, person.subscriber_id, lambda found: msgspec.structs.replace(found, active=False)
            )
        except NotFound:
            return  # no subscriber, nothing to receive

    async def change(self, person: Person, edit: Edit) -> Subscriber:
        """Change what this person wants. Raises `Unavailable`, and whatever `edit` raises."""
        account = await self._accounts.find_by_subscriber(person.tenant, person.subscriber_id)
        if account is None:
            raise Unauthorized
        email = account.email
        return await self._subscribers.put(
            person.tenant, person.subscriber_id, lambda found: edit(_with_address(found, email))
        )

    async def find(self, person: Person) -> Subscriber | None:
        """This person as a subscriber. Raises `Unavailable`."""
        try:
            return await self._subscribers.get(person.tenant, person.subscriber_id)
        except NotFound:
            return None

    async def _make_account(self, email: str, password: str, network: str) -> Account:
        await self._limits.count_password(network)
        account = Account(
            tenant=self._tenant,
            email=email,
            subscriber_id=self._new_id(),
            password_hash=await self._passwords.hash(password),
            created_at=self._clock(),
        )
        if await self._accounts.insert(account):
            return account
        faster = await self._accounts.find(self._tenant, email)
        if faster is None:
            raise Unavailable("the account was made and erased at the same moment")
        await self._prove(faster, password, network)
        return faster

    async def _prove(self, account: Account, password: str, network: str) -> None:
        async with self._limits.login(self._tenant, account.email, network) as attempt:
            if not await self._passwords.verify(account.password_hash, password):
                raise Taken("This address is subscribed already; to change the subscription, give its password.")
            await self._limits.succeeded(attempt)


def _with_address(subscriber: Subscriber, email: str) -> Subscriber:
    return subscriber if subscriber.email else msgspec.structs.replace(subscriber, email=email)
