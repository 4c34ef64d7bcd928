"""What templates need from outside, as narrow ports."""

from typing import Protocol

from libs.common.domain.templates import Shelf, Template


class TemplateStore(Protocol):
    """Where the versions are. Every call raises `Unavailable` when the answer is unknown."""

    async def newest(self, tenant: str, template_id: str) -> list[Template]:
        """The two newest versions, the newest first."""
        ...

    async def find(self, tenant: str, template_id: str, version: int) -> Template | None:
        """One version, also a draft or a deleted one."""
        ...

    async def add(self, template: Template) -> bool:
        """Add a version; False when there is one of its number."""
        ...

    async def replace(self, template: Template) -> bool:
        """Write over the draft `revision - 1` of this version; False when that is not what is stored."""
        ...

    async def page(self, tenant: str, limit: int, after: str = "") -> list[Shelf]:
        """Up to `limit` templates by id, from above `after` on, without their words."""
        ...

    async def history(self, tenant: str, template_id: str, limit: int, before: int = 2**31) -> list[Template]:
        """Up to `limit` versions older than `before`, the newest first, without their words."""
        ...
