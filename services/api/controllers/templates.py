"""Templates of a tenant, for its services: words, versions, drafts, previews. What a template may say is decided in
`libs/common/templates`."""

import asyncio
from typing import Annotated

from litestar import Controller, Response, delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from libs.common.domain.api_keys import Scope
from libs.common.domain.errors import Flaw, InvalidInput
from libs.common.domain.json_values import unstorable
from libs.common.domain.templates import Shelf, Template
from libs.common.templates.catalogue import Catalogue
from libs.common.templates.rendering import NO_VARIANT, CannotRender, preview
from services.api.errors import Incomplete, NotFound, Taken
from services.api.given import GivenNewId, GivenTemplates
from services.api.paging import make_name_cursor, read_name_cursor
from services.api.schemas.templates import (
    RESERVED,
    NewTemplate,
    Preview,
    PublishDraft,
    Rendering,
    ShownTemplate,
    TemplateBody,
    TemplatePage,
    TemplateSummary,
    Verdict,
)
from services.api.security.access import ServiceRequest, require_scope

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="Items on a page.")]
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.")]
Draft = Annotated[bool, QueryParameter(description="The draft instead of the current version.")]
Version = Annotated[int | None, QueryParameter(ge=1, description="A published version by its number.")]


class TemplatesController(Controller):
    """Make, read, change, publish, try and delete templates."""

    path = "/templates"
    tags = ("templates",)
    guards = (require_scope(Scope.TEMPLATES),)
    security = ({"api_key": []},)

    @post("/", status_code=201, summary="Make a template")
    async def create(
        self, request: ServiceRequest, data: JSONBody[NewTemplate], templates: GivenTemplates, new_id: GivenNewId
    ) -> Response[ShownTemplate]:
        """In use at once, unless `draft` is true. An id that is there already: 409."""
        template_id = data.id or new_id()
        if template_id in RESERVED:
            raise InvalidInput(Flaw("id", "is the name of a route"))
        words = await data.checked()
        written = await templates.create(request.user.tenant, template_id, words, published=not data.draft)
        if written is None:
            raise Taken("There is a template of this id.")
        found = await _shown(templates, written, data)
        return Response(found, status_code=201, headers={"Location": f"/templates/{template_id}"})

    @get("/", summary="All templates")
    async def page(
        self, request: ServiceRequest, templates: GivenTemplates, limit: Limit = 20, cursor: Cursor = None
    ) -> TemplatePage:
        """By id, without their words."""
        after = read_name_cursor(cursor) if cursor is not None else ""
        shelves = await templates.page(request.user.tenant, limit + 1, after)
        items = [TemplateSummary.of(shelf.current or shelf.newest) for shelf in shelves[:limit]]
        return TemplatePage(items, make_name_cursor(items[-1].id) if len(shelves) > limit else None)

    @post("/validate", status_code=200, summary="Try a template without storing it")
    async def check(self, data: JSONBody[NewTemplate]) -> Verdict:
        """What is wrong with it, and which variables it needs."""
        flaws = await data.flaws()
        errors = [{"pointer": flaw.pointer, "message": flaw.message} for flaw in flaws]
        return Verdict(not flaws, errors, [] if flaws else sorted(await data.needed()))

    @get("/{template_id:str}", summary="Read a template")
    async def read(
        self,
        request: ServiceRequest,
        template_id: FromPath[str],
        templates: GivenTemplates,
        version: Version = None,
        draft: Draft = False,
    ) -> ShownTemplate:
        """The current version; the draft, as long as nothing was published."""
        tenant = request.user.tenant
        if version is not None:
            found = await templates.find(tenant, template_id, version)
            if found is None:
                raise NotFound
            return ShownTemplate.of(found)
        shelf = await _shelf(templates, tenant, template_id)
        chosen = shelf.draft if draft else shelf.current or shelf.draft
        if chosen is None:
            raise NotFound
        return ShownTemplate.of(chosen, shelf)

    @put("/{template_id:str}", summary="Change a template")
    async def change(
        self,
        request: ServiceRequest,
        template_id: FromPath[str],
        data: JSONBody[TemplateBody],
        templates: GivenTemplates,
    ) -> ShownTemplate:
        """The next version; what is under way keeps the words that it was accepted with."""
        words = await data.checked()
        written = await templates.save_draft(request.user.tenant, template_id, words, data.revision)
        if written is None:
            raise NotFound
        return await _published(templates, written, data)

    @delete("/{template_id:str}", summary="Delete a template")
    async def remove(self, request: ServiceRequest, template_id: FromPath[str], templates: GivenTemplates) -> None:
        """Nothing new is sent by it; what is under way still is."""
        if not await templates.delete(request.user.tenant, template_id):
            raise NotFound

    @post("/{template_id:str}/publish", status_code=200, summary="Publish the draft")
    async def publish(
        self,
        request: ServiceRequest,
        template_id: FromPath[str],
        templates: GivenTemplates,
        data: JSONBody[PublishDraft | None] = None,
    ) -> ShownTemplate:
        """From then on it is the current version; without a draft nothing changes."""
        revision = data.revision if data else None
        found = await templates.publish(request.user.tenant, template_id, revision)
        if found is None:
            raise NotFound
        return ShownTemplate.of(found)

    @get("/{template_id:str}/versions", summary="A template's versions")
    async def versions(
        self,
        request: ServiceRequest,
        template_id: FromPath[str],
        templates: GivenTemplates,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> TemplatePage:
        """The newest first, without their words."""
        before = _number(cursor)
        found = await templates.history(request.user.tenant, template_id, limit + 1, before)
        if not found and cursor is None:
            raise NotFound
        items = [TemplateSummary.of(version) for version in found[:limit]]
        return TemplatePage(items, make_name_cursor(str(items[-1].version)) if len(found) > limit else None)

    @post("/{template_id:str}/preview", status_code=200, summary="See what a recipient would get")
    async def preview(
        self, request: ServiceRequest, template_id: FromPath[str], data: JSONBody[Preview], templates: GivenTemplates
    ) -> Rendering:
        """Nothing is sent. 422 when it cannot be rendered, with the reason."""
        if flaws := unstorable(data.variables, "variables"):
            raise InvalidInput(*flaws)
        shelf = await _shelf(templates, request.user.tenant, template_id)
        chosen = shelf.draft if data.draft else shelf.current or shelf.draft
        if chosen is None:
            raise NotFound
        try:
            made = await asyncio.to_thread(preview, chosen, data.channel, data.locale, data.variables)
        except CannotRender as error:
            raise Incomplete(Flaw("channel" if error.reason == NO_VARIANT else "variables", str(error))) from None
        return Rendering(made.subject, made.text, made.html)


class NewerTemplatesController(TemplatesController):
    """The same under the newer surface's path."""

    path = "/v1/templates"


async def _shelf(templates: Catalogue, tenant: str, template_id: str) -> Shelf:
    shelf = await templates.shelf(tenant, template_id)
    if shelf is None:
        raise NotFound
    return shelf


async def _published(templates: Catalogue, written: Template, data: TemplateBody) -> ShownTemplate:
    """What was just written; in use, unless it is a draft. Raises `Overtaken` when somebody else has changed it in
    between: their words are not ours to publish."""
    if not data.draft:
        await templates.publish(written.tenant, written.template_id, written.revision, written.version)
    return await _shown(templates, written, data)


async def _shown(templates: Catalogue, written: Template, data: TemplateBody) -> ShownTemplate:
    shelf = await _shelf(templates, written.tenant, written.template_id)
    chosen = shelf.draft if data.draft else shelf.current
    return ShownTemplate.of(chosen or shelf.newest, shelf)


def _number(cursor: str | None) -> int:
    if cursor is None:
        return 2**31
    name = read_name_cursor(cursor)
    if not name.isascii() or not name.isdigit() or len(name) > 9:
        raise InvalidInput(Flaw("cursor", "is not one that this API made"))
    return int(name)
