"""What every store of templates keeps to, the one in memory and MongoDB's, and the catalogue on top of it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from deploy.local.servers import StackAddress
from libs.common.adapters.cache.memory import MemoryCache
from libs.common.adapters.cache.nothing import NoCache
from libs.common.adapters.mongo.connect import open_database
from libs.common.adapters.mongo.templates import MongoTemplates
from libs.common.cli.seed import write_seed
from libs.common.domain.channels import Channel
from libs.common.domain.errors import Overtaken
from libs.common.domain.templates import Template, Variant
from libs.common.settings import MongoSettings
from libs.common.templates import catalogue as catalogue_module
from libs.common.templates.catalogue import Catalogue, Words
from libs.common.templates.ports import TemplateStore
from libs.common.testing.templates import MemoryTemplates

pytestmark = pytest.mark.integration

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["memory", "mongodb"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[TemplateStore]:
    """A store with nothing in it."""
    if request.param == "memory":
        yield MemoryTemplates()
        return
    uri = request.getfixturevalue("stack").mongodb_uri
    settings = MongoSettings(uri=uri, db=request.getfixturevalue("database_name"))
    async with open_database(settings, create_indexes=True):
        yield MongoTemplates()


@pytest.fixture
def catalogue(store: TemplateStore) -> Catalogue:
    """A catalogue on that store."""
    return Catalogue(store, MemoryCache(timedelta(minutes=1)), lambda: NOW)


def words(text: str, name: str = "Greeting") -> Words:
    return Words(name, (Variant(channel=Channel.EMAIL, subject="Hi", text=text, html=f"<b>{text}</b>"),))


def a_version(number: int = 1, tenant: str = "acme", template_id: str = "t", **more: object) -> Template:
    made = Template(
        tenant=tenant,
        template_id=template_id,
        version=number,
        name="Greeting",
        variants=words("Hello").variants,
        created_at=NOW,
        updated_at=NOW,
    )
    return msgspec.structs.replace(made, **more)


async def test_a_version_is_read_as_it_was_added(store: TemplateStore) -> None:
    assert await store.add(a_version())
    assert await store.find("acme", "t", 1) == a_version()
    assert await store.find("acme", "t", 2) is None
    assert await store.find("other", "t", 1) is None


async def test_a_number_is_given_once(store: TemplateStore) -> None:
    await store.add(a_version())
    assert not await store.add(a_version(name="Another"))
    assert await store.find("acme", "t", 1) == a_version()


async def test_a_draft_is_replaced_by_its_next_revision_only(store: TemplateStore) -> None:
    await store.add(a_version())
    second = a_version(name="Second", revision=2)
    assert not await store.replace(a_version(name="Third", revision=3))
    assert await store.replace(second)
    assert not await store.replace(second)
    assert await store.find("acme", "t", 1) == second


async def test_a_published_version_never_changes(store: TemplateStore) -> None:
    await store.add(a_version(published=True))
    assert not await store.replace(a_version(name="Changed", revision=2))
    assert not await store.replace(a_version(9, name="Not there", revision=2))
    assert await store.find("acme", "t", 1) == a_version(published=True)


async def test_the_two_newest_versions_are_read(store: TemplateStore) -> None:
    for number in (1, 2, 3):
        await store.add(a_version(number, published=number < 3))
    await store.add(a_version(7, tenant="other"))
    assert [found.version for found in await store.newest("acme", "t")] == [3, 2]
    assert await store.newest("acme", "nothing") == []


async def test_pages_go_through_a_tenants_templates_by_id(store: TemplateStore) -> None:
    for name in ("b", "a", "d", "c"):
        await store.add(a_version(template_id=name, published=True))
    await store.add(a_version(2, template_id="a"))
    await store.add(a_version(2, template_id="b", published=True, deleted=True, variants=()))
    await store.add(a_version(tenant="other", template_id="x"))

    first = await store.page("acme", 2)
    second = await store.page("acme", 2, first[-1].newest.template_id)

    assert [shelf.newest.template_id for shelf in first] == ["a", "c"]
    assert (first[0].current.version if first[0].current else None) == 1
    assert (first[0].draft.version if first[0].draft else None) == 2
    assert [shelf.newest.template_id for shelf in second] == ["d"]
    assert first[0].newest.variants == (Variant(channel=Channel.EMAIL, subject="Hi", text=""),)


async def test_the_history_is_read_newest_first_without_the_words(store: TemplateStore) -> None:
    for number in (1, 2, 3):
        await store.add(a_version(number, published=True))
    assert [found.version for found in await store.history("acme", "t", 2)] == [3, 2]
    older = await store.history("acme", "t", 2, before=2)
    assert [(found.version, found.variants[0].text) for found in older] == [(1, "")]


async def test_a_template_goes_from_draft_to_current_and_on(catalogue: Catalogue) -> None:
    draft = await catalogue.create("acme", "t", words("one"))
    assert draft is not None
    assert (draft.version, draft.published) == (1, False)
    assert await catalogue.find("acme", "t") is None

    first = await catalogue.publish("acme", "t")
    assert first is not None
    assert await catalogue.find("acme", "t") == first

    await catalogue.save_draft("acme", "t", words("two"))
    edited = await catalogue.save_draft("acme", "t", words("three"))
    assert edited is not None
    assert (edited.version, edited.revision) == (2, 2)
    assert await catalogue.find("acme", "t") == first, "a draft is nobody's business"

    second = await catalogue.publish("acme", "t")
    assert second is not None
    assert (second.version, second.variants[0].text) == (2, "three")
    assert await catalogue.find("acme", "t") == second
    assert await catalogue.find("acme", "t", 1) == first
    assert await catalogue.publish("acme", "t") == second, "there is nothing new to publish"
    assert [found.version for found in await catalogue.history("acme", "t", 10)] == [2, 1]


async def test_a_name_is_taken_once(catalogue: Catalogue) -> None:
    assert await catalogue.create("acme", "t", words("one"))
    assert await catalogue.create("acme", "t", words("two")) is None
    assert await catalogue.create("other", "t", words("two"))


async def test_what_is_not_there_is_not_changed(catalogue: Catalogue) -> None:
    assert await catalogue.save_draft("acme", "t", words("x")) is None
    assert await catalogue.publish("acme", "t") is None
    assert not await catalogue.delete("acme", "t")
    assert await catalogue.shelf("acme", "t") is None
    assert await catalogue.history("acme", "t", 10) == []


async def test_an_editor_who_read_an_older_draft_is_told(catalogue: Catalogue) -> None:
    draft = await catalogue.create("acme", "t", words("one"))
    assert draft is not None
    await catalogue.save_draft("acme", "t", words("two"), draft.revision)
    with pytest.raises(Overtaken):
        await catalogue.save_draft("acme", "t", words("three"), draft.revision)
    with pytest.raises(Overtaken):
        await catalogue.publish("acme", "t", draft.revision)
    shelf = await catalogue.shelf("acme", "t")
    assert shelf is not None
    assert shelf.newest.variants[0].text == "two"


@pytest.mark.parametrize("with_draft", [True, False])
async def test_a_deleted_template_is_gone_and_its_numbers_stay_taken(catalogue: Catalogue, with_draft: bool) -> None:
    await catalogue.create("acme", "t", words("one"))
    first = await catalogue.publish("acme", "t")
    if with_draft:
        await catalogue.save_draft("acme", "t", words("two"))

    assert await catalogue.delete("acme", "t")

    assert not await catalogue.delete("acme", "t")
    assert await catalogue.find("acme", "t") is None
    assert await catalogue.shelf("acme", "t") is None
    assert await catalogue.page("acme", 10) == []
    assert await catalogue.find("acme", "t", 1) == first, "deliveries with this version are under way"
    assert await catalogue.find("acme", "t", 2) is None
    again = await catalogue.create("acme", "t", words("new"))
    assert again is not None
    assert again.version == 3


async def test_of_many_editors_at_once_each_has_a_revision_of_its_own(catalogue: Catalogue) -> None:
    await catalogue.create("acme", "t", words("0"))
    saved = await asyncio.gather(*(catalogue.save_draft("acme", "t", words(str(n))) for n in range(4)))
    assert sorted(each.revision for each in saved if each) == [2, 3, 4, 5]


async def test_of_many_who_publish_at_once_one_does(catalogue: Catalogue) -> None:
    await catalogue.create("acme", "t", words("0"))
    published = await asyncio.gather(*(catalogue.publish("acme", "t") for _ in range(4)))
    assert {(each.version, each.revision) for each in published if each} == {(1, 2)}


async def test_look_ups_are_cached_until_a_version_is_published() -> None:
    store = MemoryTemplates()
    catalogue = Catalogue(store, MemoryCache(timedelta(minutes=1)), lambda: NOW)
    await catalogue.create("acme", "t", words("one"))
    await catalogue.publish("acme", "t")
    await catalogue.find("acme", "t")
    before = store.reads
    assert await catalogue.find("acme", "t")
    assert store.reads == before
    await catalogue.save_draft("acme", "t", words("two"))
    await catalogue.publish("acme", "t")
    found = await catalogue.find("acme", "t")
    assert found is not None
    assert found.version == 2


@pytest.mark.parametrize("kept", [b"", b"junk", b"{}", b"[" * 5_000, b'{"tenant": "\xff"}'])
async def test_what_is_no_template_in_the_cache_is_looked_up(kept: bytes) -> None:
    """Another release wrote it, or somebody else: every look-up failed until it had expired."""
    store, cache = MemoryTemplates(), MemoryCache(timedelta(minutes=1))
    catalogue = Catalogue(store, cache, lambda: NOW)
    await catalogue.create("acme", "t", words("one"))
    await catalogue.publish("acme", "t")
    place = (catalogue_module._namespace("acme", "t"), "0")
    await cache.set(place, kept, await cache.get_many([place]))

    found = await catalogue.find("acme", "t")

    assert found is not None
    assert found.variants == words("one").variants


async def test_a_draft_that_somebody_else_has_changed_is_not_published_for_its_first_editor(
    catalogue: Catalogue,
) -> None:
    first = await catalogue.create("acme", "t", words("mine"))
    assert first is not None
    await catalogue.save_draft("acme", "t", words("not approved"))

    with pytest.raises(Overtaken):
        await catalogue.publish("acme", "t", first.revision, first.version)

    await catalogue.publish("acme", "t")
    again = await catalogue.save_draft("acme", "t", words("another"))
    assert again is not None
    with pytest.raises(Overtaken):
        await catalogue.publish("acme", "t", again.revision, first.version)


async def test_what_the_seeder_wrote_is_a_published_template(stack: StackAddress, database_name: str) -> None:
    settings = MongoSettings(uri=stack.mongodb_uri, db=database_name)
    for _ in range(2):
        await write_seed(settings, "acme", NOW)
    async with open_database(settings):
        found = await Catalogue(MongoTemplates(), NoCache(), lambda: NOW).find("acme", "tpl_001")
    assert found is not None
    assert [(variant.channel, variant.text) for variant in found.variants] == [
        (channel, "Hello {{ name }}!") for channel in (Channel.EMAIL, Channel.SMS, Channel.PUSH)
    ]
