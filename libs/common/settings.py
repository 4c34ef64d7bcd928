"""The settings that more than one process has, in groups, and how a process reads its own: all of it checked before
the first connection, every fault named by its variable. No code outside composition roots reads the environment."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from libs.common.domain.durations import parse_duration
from libs.common.domain.retry import DEFAULT_DELAYS, RetrySchedule
from libs.common.topics import Topics


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _durations(value: object) -> object:
    return tuple(parse_duration(part) for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _strings(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta():
        raise ValueError("must be longer than nothing")
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_positive)]
"""A duration written as `500ms`, `5s`, `2m`, `1h` or `14d`."""
Durations = Annotated[tuple[Duration, ...], NoDecode, BeforeValidator(_durations)]
"""Durations separated by commas."""
Strings = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_strings)]
"""Words separated by commas."""


def _brokers(value: str) -> str:
    for broker in value.split(","):
        host, colon, port = broker.strip().rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65_536):
            raise ValueError(f"{broker.strip()!r} is not host:port")
    return value


def _readable_file(value: str) -> str:
    if value and not Path(value).is_file():
        raise ValueError("is not a file")
    return value


def _connection_string(value: str) -> str:
    if value.startswith("mongodb+srv://"):
        return value  # its hosts are looked up when it is used
    try:
        parse_uri(value)
    except (PyMongoError, ValueError) as error:
        # The message may hold the string, and so its password.
        raise ValueError(f"is not a connection string ({type(error).__name__})") from None
    return value


Brokers = Annotated[str, AfterValidator(_brokers)]
OptionalFile = Annotated[str, AfterValidator(_readable_file)]
ConnectionString = Annotated[str, AfterValidator(_connection_string)]


class SettingsGroup(BaseSettings):
    """Settings that belong together; frozen once read."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)


class EnvironmentSettings(SettingsGroup):
    """Where the process runs."""

    env: Literal["dev", "test", "prod"] = Field("prod", description="`dev` allows the seeder and weak secrets.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least level logged.")

    @property
    def is_dev(self) -> bool:
        """Whether defaults for a developer's machine are allowed."""
        return self.env == "dev"


class KafkaSettings(SettingsGroup):
    """How to reach the log, and what topics look like when they are created."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_")

    bootstrap_servers: Brokers = Field("127.0.0.1:9092", description="Brokers to ask first, `host:port`, with commas.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How connections to brokers are protected."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How the client proves who it is, with a SASL protocol."
    )
    sasl_username: str = Field("", description="User name for SASL.")
    sasl_password: str = Field("", description="Password for SASL.", repr=False)
    ssl_ca_file: OptionalFile = Field("", description="Certificates to trust; empty: the system's.")
    partitions: int = Field(4, ge=1, le=1000, description="Partitions of a topic that is created.")
    replication_factor: int = Field(1, ge=1, le=9, description="Copies of a topic that is created; production: 3.")
    min_insync_replicas: int = Field(
        1,
        ge=1,
        le=9,
        description="Copies that must have a write before it is acknowledged; production: 2. 1: the brokers' default.",
    )
    request_timeout: Duration = Field(
        timedelta(seconds=5), description="How long a write may wait for the brokers' acknowledgement."
    )

    @field_validator("min_insync_replicas")
    @classmethod
    def _possible(cls, value: int, info: ValidationInfo) -> int:
        if value > info.data.get("replication_factor", value):
            raise ValueError("must not be more than KAFKA_REPLICATION_FACTOR: nothing could be written")
        return value


class TopicSettings(SettingsGroup):
    """Names of topics and the retry schedule, which decides how many retry topics there are."""

    topic_prefix: str = Field("sigmora.", pattern=r"^[A-Za-z0-9._-]*$", description="What every topic begins with.")
    retry_schedule: Durations = Field(
        DEFAULT_DELAYS, min_length=1, max_length=20, description="Delays before attempts 2, 3, …; then the dead topic."
    )

    @property
    def topics(self) -> Topics:
        """The topics under these settings."""
        return Topics(self.topic_prefix, self.retry_schedule)

    @property
    def schedule(self) -> RetrySchedule:
        """The retry schedule."""
        return RetrySchedule(self.retry_schedule)


class MongoSettings(SettingsGroup):
    """How to reach MongoDB."""

    model_config = SettingsConfigDict(env_prefix="MONGODB_")

    uri: ConnectionString = Field(
        "mongodb://127.0.0.1:27017/?journal=true",
        description="Connection string; keep `journal=true`, or an acknowledged write may be lost.",
        repr=False,
    )
    db: str = Field("sigmora", min_length=1, max_length=63, description="Database.")
    timeout: Duration = Field(timedelta(seconds=5), description="How long an operation may take.")


class CacheSettings(SettingsGroup):
    """Where look-ups of templates and people are kept for a while."""

    cache_backend: Literal["none", "lru", "memcache"] = Field(
        "lru", description="Nowhere, in the process's memory, or in memcached."
    )
    cache_ttl_seconds: int = Field(
        60,
        ge=0,
        le=86_400,
        description="How old a cached template or user may be; 0: none is. Consent never is.",
    )
    memcache_host: str = Field("127.0.0.1", min_length=1, description="Host of memcached.")
    memcache_port: int = Field(11211, ge=1, le=65535, description="Its port.")
    memcache_timeout_ms: int = Field(
        50, ge=1, le=5_000, description="How long memcached may take, in ms; the database is asked after that."
    )


class LinkSettings(SettingsGroup):
    """What a mail needs for a link by which one click unsubscribes (RFC 8058)."""

    public_base_url: str = Field(
        "",
        pattern=r"^(https?://[!-~]{1,200})?$",
        description="Where people reach the API, such as `https://notify.example.com`; none: no unsubscribe links.",
    )
    secret_key: str = Field("", repr=False, description="That of the API, which signs links; none: no links.")


S = TypeVar("S", bound=BaseSettings)


def read_settings(model: type[S], **given: Any) -> S:
    """The settings of this process; ends it with exit code 2 and one line per fault when they are not usable."""
    try:
        return model(**given)
    except ValidationError as error:
        for fault in error.errors():
            sys.stderr.write(f"{_variable(error.title, fault)}: {fault['msg']}\n")
        raise SystemExit(2) from error


def _variable(title: str, fault: Any) -> str:
    group = next((g for g in _groups(SettingsGroup) if g.__name__ == title), None)
    prefix = group.model_config.get("env_prefix", "") if group else ""
    name = str(fault["loc"][0]) if fault["loc"] else title
    return f"{prefix}{name}".upper() if group else name


def _groups(base: type[SettingsGroup]) -> list[type[SettingsGroup]]:
    return [base, *(found for child in base.__subclasses__() for found in _groups(child))]
