"""Templates in memory, held to the same contract as MongoDB's (`tests/contract/test_templates.py`)."""

import msgspec

from libs.common.domain.errors import Unavailable
from libs.common.domain.templates import Shelf, Template, shelve


class MemoryTemplates:
    """Implements `ports.TemplateStore`; `away` makes it refuse, `reads` counts what it was asked for."""

    def __init__(self, *templates: Template) -> None:
        self.away = False
        self.reads = 0
        self.kept = {(found.tenant, found.template_id, found.version): found for found in templates}

    async def newest(self, tenant: str, template_id: str) -> list[Template]:
        """The two newest versions, the newest first."""
        return self._versions(tenant, template_id)[:2]

    async def find(self, tenant: str, template_id: str, version: int) -> Template | None:
        """One version, also a draft or a deleted one."""
        self._answer()
        return self.kept.get((tenant, template_id, version))

    async def add(self, template: Template) -> bool:
        """Add a version; False when there is one of its number."""
        self._answer()
        return self.kept.setdefault((template.tenant, template.template_id, template.version), template) is template

    async def replace(self, template: Template) -> bool:
        """Write over the draft `revision - 1` of this version; False when that is not what is stored."""
        self._answer()
        place = (template.tenant, template.template_id, template.version)
        found = self.kept.get(place)
        if found is None or found.published or found.revision != template.revision - 1:
            return False
        self.kept[place] = template
        return True

    async def page(self, tenant: str, limit: int, after: str = "") -> list[Shelf]:
        """Up to `limit` templates by id, from above `after` on, without their words."""
        ids = sorted({name for owner, name, _ in self.kept if owner == tenant and name > after})
        shelves = [shelve(map(_without_words, self._versions(tenant, name))) for name in ids]
        return [shelf for shelf in shelves if shelf is not None][:limit]

    async def history(self, tenant: str, template_id: str, limit: int, before: int = 2**31) -> list[Template]:
        """Up to `limit` versions older than `before`, the newest first, without their words."""
        older = [found for found in self._versions(tenant, template_id) if found.version < before]
        return [_without_words(found) for found in older[:limit]]

    def _versions(self, tenant: str, template_id: str) -> list[Template]:
        self._answer()
        found = [each for (owner, name, _), each in self.kept.items() if (owner, name) == (tenant, template_id)]
        return sorted(found, key=lambda each: each.version, reverse=True)

    def _answer(self) -> None:
        self.reads += 1
        if self.away:
            raise Unavailable("MongoDB: away")


def _without_words(template: Template) -> Template:
    bare = tuple(msgspec.structs.replace(variant, text="", html="") for variant in template.variants)
    return msgspec.structs.replace(template, variants=bare)
