"""`sigmora seed`: what a developer needs to try things by hand. Refuses outside of `ENV=dev`; may run many times."""

from datetime import datetime

from pydantic import Field

from libs.common.adapters.mongo.api_keys import MongoApiKeys
from libs.common.adapters.mongo.connect import open_database
from libs.common.adapters.mongo.subscribers import MongoOrdinals, MongoSubscribers
from libs.common.adapters.mongo.templates import MongoTemplates
from libs.common.cli.database import PATIENCE, in_database
from libs.common.cli.output import AsJson, fail, show_json, show_table
from libs.common.clock import utc_now
from libs.common.domain.api_keys import DEV_API_KEY, Scope
from libs.common.domain.channels import MAIN_ENDPOINT, Channel
from libs.common.domain.subscribers import Device, Subscriber, first_version
from libs.common.domain.templates import Template, Variant
from libs.common.settings import EnvironmentSettings, MongoSettings, read_settings

USER = "user_001"
TEMPLATE = "tpl_001"


class SeedSettings(EnvironmentSettings):
    """Where the seeder puts things."""

    default_tenant: str = Field("default", description="Tenant of people who come by `POST /subscribe`.")


def seed(as_json: AsJson = False) -> None:
    """Write a user, a template and an API key for development. Refuses unless ENV=dev."""
    settings = read_settings(SeedSettings)
    if not settings.is_dev:
        fail("ENV: the seeder writes a well-known API key and runs with ENV=dev only", 2)
    in_database(write_seed(read_settings(MongoSettings), settings.default_tenant, utc_now()))
    written = {"user": USER, "template": TEMPLATE, "api_key": DEV_API_KEY, "tenant": settings.default_tenant}
    if as_json:
        show_json(written)
    else:
        show_table("Seeded", [{"what": what, "value": value} for what, value in written.items()], ("what", "value"))


async def write_seed(mongo: MongoSettings, tenant: str, now: datetime) -> None:
    """Write what is not there yet. Raises `Unavailable`."""
    async with open_database(mongo, patience=PATIENCE):
        await MongoApiKeys().create(tenant, "development", tuple(Scope), now, key=DEV_API_KEY)
        subscribers = MongoSubscribers()
        if await subscribers.find(tenant, USER) is None:
            # Published by the API's outbox sweeper, as after a crash; the router reads the database when it starts.
            await subscribers.insert(
                Subscriber(
                    tenant=tenant,
                    subscriber_id=USER,
                    ordinal=await MongoOrdinals().take(tenant),
                    version=first_version(now),
                    name="User 001",
                    email="user_001@example.com",
                    phone="+15005550006",
                    push_tokens=(Device(endpoint=MAIN_ENDPOINT, token="push-token-user-001"),),  # noqa: S106 - no secret
                    created_at=now,
                    updated_at=now,
                )
            )
        await MongoTemplates().add(_greeting(tenant, now))  # changes nothing where it is there already


def _greeting(tenant: str, now: datetime) -> Template:
    text = "Hello {{ name }}!"
    variants = (
        Variant(channel=Channel.EMAIL, subject=text, text=text, html="<p>Hello {{ name }}!</p>"),
        Variant(channel=Channel.SMS, text=text),
        Variant(channel=Channel.PUSH, subject="Hello", text=text),
    )
    return Template(
        tenant=tenant,
        template_id=TEMPLATE,
        name="Greeting",
        published=True,
        variants=variants,
        created_at=now,
        updated_at=now,
    )
