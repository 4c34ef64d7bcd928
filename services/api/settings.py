"""The settings of the API process, and what it refuses to start with outside of a developer's machine."""

import re
from datetime import timedelta
from ipaddress import ip_network

from pydantic import Field, ValidationInfo, field_validator

from libs.common.settings import (
    CacheSettings,
    Duration,
    EnvironmentSettings,
    KafkaSettings,
    MongoSettings,
    Strings,
    TopicSettings,
)

DEV_SECRET_KEY = "dev-only-signing-key-that-everybody-can-read"  # noqa: S105 - refused unless ENV=dev
_KNOWN_WORDS = (
    "secret",
    "password",
    "changeme",
    "change-me",
    "change_me",
    "example",
    "default",
    "dev-only",
    "your-key",
    "0123456",
    "abcdefg",
    "qwerty",
)
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?|https?://\[[0-9A-Fa-f:]+\](:\d{1,5})?")
"""Each by its name (RFC 6454): `*` and `null` stand for anybody."""
_LEAST_DIFFERENT = 10
"""Different characters in a secret; `aaaa…` is long and no secret."""


def _require_secret(value: str, least_bytes: int) -> None:
    if len(value.encode()) < least_bytes:
        raise ValueError(f"must have at least {least_bytes} bytes, unless ENV=dev")
    if len(set(value.replace(" ", ""))) < _LEAST_DIFFERENT or any(word in value.lower() for word in _KNOWN_WORDS):
        raise ValueError("must be drawn at random, unless ENV=dev")


class ApiSettings(EnvironmentSettings):
    """What the API needs."""

    api_host: str = Field("127.0.0.1", description="Address that the API listens on.")
    api_port: int = Field(8000, ge=0, le=65535, description="Port that the API listens on.")
    secret_key: str = Field(
        "",
        validate_default=True,
        repr=False,
        description="Signs access tokens (HS256): at least 32 random bytes. `ENV=dev` may leave it out.",
    )
    access_token_ttl: Duration = Field(timedelta(minutes=15), description="How long an access token is good.")
    token_issuer: str = Field("sigmora", min_length=1, description="The `iss` of access tokens.")
    token_audience: str = Field("sigmora-api", min_length=1, description="The `aud` of access tokens.")
    default_tenant: str = Field(
        "default",
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description="The tenant of people who come by `/subscribe`.",
    )
    cors_origins: Strings = Field((), description="Origins that browsers may call from, with commas.")
    request_deadline: Duration = Field(timedelta(seconds=12), description="After this a request is answered with 503.")
    credential_cache: Duration = Field(
        timedelta(seconds=5), description="How long a revoked key or token may still be accepted; at most 5 s."
    )
    provider_callback_token: str = Field(
        "",
        repr=False,
        description="What providers send as `X-Provider-Token` with receipts: at least 16 random bytes. "
        "None: only `ENV=dev` takes receipts.",
    )
    rate_limit_per_key: int = Field(
        600_000, ge=0, description="Requests a minute with one API key, over all processes; 0: no limit."
    )
    rate_limit_per_address: int = Field(
        60_000,
        ge=0,
        description="Requests a minute without an API key from one address (IPv6: its /64); 0: no limit.",
    )
    rate_limit_login_failures: int = Field(
        100, ge=0, description="Log-ins that may fail in a minute from one address; 0: no limit."
    )
    rate_limit_passwords: int = Field(
        600, ge=0, description="Passwords hashed or verified in a minute for one address; 0: no limit."
    )
    trusted_proxies: Strings = Field(
        (), description="Networks whose `X-Forwarded-For` is believed, with commas: `10.0.0.0/8`."
    )
    outbox_interval: Duration = Field(
        timedelta(seconds=2), description="How often changes are looked for that a crash left off the log."
    )
    kafka: KafkaSettings = Field(default_factory=KafkaSettings, description="The log.")
    topics: TopicSettings = Field(default_factory=TopicSettings, description="Topics.")
    mongo: MongoSettings = Field(default_factory=MongoSettings, description="The database.")
    cache: CacheSettings = Field(default_factory=CacheSettings, description="The look-up cache.")

    @field_validator("secret_key")
    @classmethod
    def _strong(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("env") == "dev":
            return value or DEV_SECRET_KEY
        if not value:
            raise ValueError("must be set, unless ENV=dev")
        _require_secret(value, 32)
        return value

    @field_validator("provider_callback_token")
    @classmethod
    def _hard_to_guess(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("env") != "dev":
            _require_secret(value, 16)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _named(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("env") != "dev":
            for origin in value:
                if _ORIGIN.fullmatch(origin) is None:
                    raise ValueError(f"{origin!r} is not an origin such as https://app.example.com, unless ENV=dev")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network, strict=False)
        return value

    @field_validator("credential_cache")
    @classmethod
    def _short(cls, value: timedelta) -> timedelta:
        if value > timedelta(seconds=5):
            raise ValueError("must not be longer than 5 s: that is how fast a revocation is promised to work")
        return value
