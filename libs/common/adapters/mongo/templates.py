"""Templates in MongoDB: versions of words per channel and language. Each change is one insert or one conditional update
of one document, so that two editors never mix. Renders nothing."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from pymongo.errors import DuplicateKeyError

from libs.common.adapters.mongo.connect import collection_of, database_calls
from libs.common.adapters.mongo.documents import TemplateDocument
from libs.common.domain.templates import Shelf, Template, shelve

_WITHOUT_WORDS = {"variants.text": 0, "variants.html": 0}


def document_id(tenant: str, template_id: str, version: int) -> str:
    """The `_id`."""
    return f"{tenant}:{template_id}:{version}"


class MongoTemplates:
    """Implements `ports.TemplateStore`. Every call raises `Unavailable` when the answer is unknown."""

    async def newest(self, tenant: str, template_id: str) -> list[Template]:
        """The two newest versions, the newest first: a draft, if there is one, and the last published."""
        with database_calls():
            found = (
                collection_of(TemplateDocument)
                .find({"tenant": tenant, "template_id": template_id})
                .sort("version", -1)
                .limit(2)
            )
            return [_template(document) async for document in found]

    async def find(self, tenant: str, template_id: str, version: int) -> Template | None:
        """One version, also a draft or a deleted one."""
        with database_calls():
            found = await collection_of(TemplateDocument).find_one(
                {"_id": document_id(tenant, template_id, version), "tenant": tenant, "template_id": template_id}
            )
        return _template(found) if found else None

    async def add(self, template: Template) -> bool:
        """Add a version; False when there is one of its number."""
        document = {"_id": document_id(template.tenant, template.template_id, template.version), **_fields(template)}
        try:
            with database_calls():
                await collection_of(TemplateDocument).insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    async def replace(self, template: Template) -> bool:
        """Write over the draft `revision - 1` of this version; False when that is not what is stored."""
        with database_calls():
            changed = await collection_of(TemplateDocument).update_one(
                {
                    "_id": document_id(template.tenant, template.template_id, template.version),
                    "tenant": template.tenant,
                    "template_id": template.template_id,
                    "revision": template.revision - 1,
                    "published": False,
                },
                {"$set": _fields(template)},
            )
        return changed.matched_count == 1

    async def page(self, tenant: str, limit: int, after: str = "") -> list[Shelf]:
        """Up to `limit` templates by id, from above `after` on, without their words."""
        shelves: list[Shelf] = []
        while len(shelves) < limit:
            ids = await self._ids(tenant, limit, after)
            shelves += await self._shelves(tenant, ids)
            if len(ids) < limit:
                break
            after = ids[-1]
        return shelves[:limit]

    async def history(self, tenant: str, template_id: str, limit: int, before: int = 2**31) -> list[Template]:
        """Up to `limit` versions older than `before`, the newest first, without their words."""
        with database_calls():
            found = (
                collection_of(TemplateDocument)
                .find({"tenant": tenant, "template_id": template_id, "version": {"$lt": before}}, _WITHOUT_WORDS)
                .sort("version", -1)
                .limit(limit)
            )
            return [_template(document) async for document in found]

    async def _ids(self, tenant: str, limit: int, after: str) -> list[str]:
        # Numbers begin at 1 and are never given back: every template has its version 1.
        query = {"tenant": tenant, "version": 1, "template_id": {"$gt": after}}
        with database_calls():
            found = collection_of(TemplateDocument).find(query, {"template_id": 1}).sort("template_id", 1).limit(limit)
            return [document["template_id"] async for document in found]

    async def _shelves(self, tenant: str, ids: list[str]) -> list[Shelf]:
        versions: dict[str, list[Template]] = defaultdict(list)
        with database_calls():
            found = collection_of(TemplateDocument).find(
                {"tenant": tenant, "template_id": {"$in": ids}}, _WITHOUT_WORDS
            )
            async for document in found:
                versions[document["template_id"]].append(_template(document))
        return [shelf for template_id in ids if (shelf := shelve(versions[template_id])) is not None]


def _fields(template: Template) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(template, builtin_types=(datetime,))
    return fields


def _template(document: Mapping[str, Any]) -> Template:
    words = [{"text": "", **variant} for variant in document["variants"]]
    updated = document.get("updated_at") or document["created_at"]
    return msgspec.convert({**document, "variants": words, "updated_at": updated}, Template)
