"""What the router needs to know."""

from datetime import timedelta

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.common.settings import (
    Duration,
    EnvironmentSettings,
    KafkaSettings,
    MongoSettings,
    SettingsGroup,
    TopicSettings,
)


class RouterSettings(SettingsGroup):
    """The router's own."""

    model_config = SettingsConfigDict(env_prefix="ROUTER_")

    host: str = Field("127.0.0.1", description="Address of the router's probes and metrics.")
    port: int = Field(8001, ge=1, le=65535, description="Port of the router's probes and metrics.")
    max_records: int = Field(500, ge=1, le=10_000, description="Events that the router takes in one poll.")
    ingest_discovery: Duration = Field(
        timedelta(seconds=10), description="How soon a new `ingest.<tenant>` topic is found."
    )


class Settings(SettingsGroup):
    """All of the router's settings."""

    environment: EnvironmentSettings = Field(default_factory=EnvironmentSettings)
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    topics: TopicSettings = Field(default_factory=TopicSettings)
    mongo: MongoSettings = Field(default_factory=MongoSettings)
    router: RouterSettings = Field(default_factory=RouterSettings)
