"""The templates of all tenants: looked up through the cache, and changed version by version. Knows neither who may
change them nor how they are rendered."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from libs.common.caching import Cache
from libs.common.clock import Clock
from libs.common.domain.errors import Flaw, Overtaken, Unavailable
from libs.common.domain.templates import Shelf, Template, Variant, shelve
from libs.common.templates.ports import TemplateStore

CURRENT = 0
"""In place of a version's number: whichever is the current one."""

_TRIES = 5
"""Somebody else wrote in between, each time; more than that is no accident."""


@dataclass(frozen=True)
class Words:
    """What an editor wrote."""

    name: str
    variants: tuple[Variant, ...]


class Catalogue:
    """Templates by tenant and id. Every call raises `Unavailable` when the database does not answer."""

    def __init__(self, store: TemplateStore, cache: Cache, clock: Clock) -> None:
        self._store = store
        self._cache = cache
        self._clock = clock

    async def find(self, tenant: str, template_id: str, version: int = CURRENT) -> Template | None:
        """A published version, by its number or the current one, as it was at most CACHE_TTL_SECONDS ago; None when
        there is none. What was published can be found by its number for ever, also when the template is deleted:
        deliveries that were accepted with it are under way."""
        place = (_namespace(tenant, template_id), str(version))
        lookup = await self._cache.get_many([place])
        if (kept := _kept(lookup.values.get(place))) is not None:
            return kept
        found = await self._read(tenant, template_id, version)
        if found is not None:
            await self._cache.set(place, msgspec.json.encode(found), lookup)
        return found

    async def shelf(self, tenant: str, template_id: str) -> Shelf | None:
        """A template as it stands in the database, for its editors; None when there is none."""
        return shelve(await self._store.newest(tenant, template_id))

    async def page(self, tenant: str, limit: int, after: str = "") -> list[Shelf]:
        """Up to `limit` templates by id, from above `after` on, without their words."""
        return await self._store.page(tenant, limit, after)

    async def history(self, tenant: str, template_id: str, limit: int, before: int = 2**31) -> list[Template]:
        """Up to `limit` versions older than `before`, the newest first, without their words; none of a template that
        was deleted."""
        if await self.shelf(tenant, template_id) is None:
            return []
        found = await self._store.history(tenant, template_id, limit, before)
        return [version for version in found if not version.deleted]

    async def create(self, tenant: str, template_id: str, words: Words, *, published: bool = False) -> Template | None:
        """A new template with a first draft, or `published` at once; None when there is one of this id."""

        def first(shelf: Shelf | None, number: int) -> Template | None:
            if shelf is not None:
                return None
            draft = self._draft(tenant, template_id, number + 1, words)
            return msgspec.structs.replace(draft, published=published)

        return await self._change(tenant, template_id, first)

    async def save_draft(
        self, tenant: str, template_id: str, words: Words, revision: int | None = None
    ) -> Template | None:
        """The draft of the next version, as it is now; None when there is no such template.

        `revision`, if given, is that of the draft which the editor read. Raises `Overtaken` when it is another by now.
        """

        def edited(shelf: Shelf | None, number: int) -> Template | None:
            if shelf is None:
                return None
            _check_revision(shelf, revision)
            if shelf.draft is None:
                return self._draft(tenant, template_id, number + 1, words)
            return self._next(shelf.draft, name=words.name, variants=words.variants)

        return await self._change(tenant, template_id, edited)

    async def publish(
        self, tenant: str, template_id: str, revision: int | None = None, version: int | None = None
    ) -> Template | None:
        """Make the draft the current version; without a draft, the current one as it is. None when there is no such
        template. Raises `Overtaken` as `save_draft` does, also when the draft is of another `version`."""

        def published(shelf: Shelf | None, number: int) -> Template | None:
            if shelf is None or shelf.draft is None:
                return shelf.current if shelf else None
            _check_revision(shelf, revision)
            if version is not None and shelf.draft.version != version:
                raise _overtaken()
            return self._next(shelf.draft, published=True)

        return await self._change(tenant, template_id, published)

    async def delete(self, tenant: str, template_id: str) -> bool:
        """Nothing new is sent by this template; False when there is none."""

        def gone(shelf: Shelf | None, number: int) -> Template | None:
            if shelf is None:
                return None
            if shelf.draft is not None:
                return self._next(shelf.draft, published=True, deleted=True, variants=())
            last = self._draft(tenant, template_id, number + 1, Words(shelf.newest.name, ()))
            return msgspec.structs.replace(last, published=True, deleted=True)

        return await self._change(tenant, template_id, gone) is not None

    async def _read(self, tenant: str, template_id: str, version: int) -> Template | None:
        if version == CURRENT:
            shelf = await self.shelf(tenant, template_id)
            return shelf.current if shelf else None
        found = await self._store.find(tenant, template_id, version)
        return found if found is not None and found.published and not found.deleted else None

    async def _change(
        self, tenant: str, template_id: str, edit: Callable[[Shelf | None, int], Template | None]
    ) -> Template | None:
        """Write what `edit` makes of the shelf and the newest number; again, if somebody else wrote in between."""
        for _ in range(_TRIES):
            versions = await self._store.newest(tenant, template_id)
            wanted = edit(shelve(versions), versions[0].version if versions else 0)
            if wanted is None or wanted in versions:
                return wanted
            write = self._store.add if wanted.revision == 1 else self._store.replace
            if await write(wanted):
                if wanted.published:
                    await self._cache.invalidate(_namespace(tenant, template_id))
                return wanted
        raise Unavailable("the template is being changed by others all the time")

    def _draft(self, tenant: str, template_id: str, version: int, words: Words) -> Template:
        now = self._clock()
        return Template(
            tenant=tenant,
            template_id=template_id,
            version=version,
            name=words.name,
            variants=words.variants,
            created_at=now,
            updated_at=now,
        )

    def _next(self, draft: Template, **changes: object) -> Template:
        return msgspec.structs.replace(draft, revision=draft.revision + 1, updated_at=self._clock(), **changes)


def _kept(value: bytes | None) -> Template | None:
    """What the cache has, if that is a template: another release, or anybody else, may have written there."""
    try:
        return msgspec.json.decode(value, type=Template) if value else None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _namespace(tenant: str, template_id: str) -> str:
    return msgspec.json.encode(["templates", tenant, template_id]).decode()


def _check_revision(shelf: Shelf, revision: int | None) -> None:
    if revision is not None and (shelf.draft is None or shelf.draft.revision != revision):
        raise _overtaken()


def _overtaken() -> Overtaken:
    return Overtaken(Flaw("revision", "is not that of the draft: somebody else changed or published it"))
