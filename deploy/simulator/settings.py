"""What the simulator needs to know before it listens. Refuses to know anything about Sigmora's own settings."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read from `SIMULATOR_*`; port 0 means any free port."""

    model_config = SettingsConfigDict(env_prefix="SIMULATOR_", frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="Address to listen on. The controls have no password: keep it private.")
    email_port: int = Field(9001, ge=0, le=65535, description="HTTP: e-mail contract and SendGrid v3.")
    sms_port: int = Field(9002, ge=0, le=65535, description="HTTP: SMS contract and Twilio.")
    push_port: int = Field(9003, ge=0, le=65535, description="HTTP: push contract, FCM v1 and its token endpoint.")
    webhook_port: int = Field(9004, ge=0, le=65535, description="HTTP: webhook sink.")
    smtp_port: int = Field(9025, ge=0, le=65535, description="SMTP without TLS; any user name and password is let in.")

    api_key: SecretStr | None = Field(None, description="Credential that senders must show; unset: nobody is asked.")
    honour_keys: bool = Field(True, description="Whether a repeated Idempotency-Key has no second effect.")
    keep: int = Field(50_000, ge=1, description="How many messages, and how many attempts, are remembered.")
    keep_bytes: int = Field(256 * 2**20, ge=1, description="How many bytes of message content are remembered.")
    keep_keys: int = Field(200_000, ge=1, description="How many idempotency keys are remembered.")
    max_body_bytes: int = Field(2**20, ge=1, description="A larger request gets 413, a larger mail 552.")
    ledger: Path | None = Field(None, description="JSONL file of attempts, fsynced before each reply; unset: none.")
    seed: int = Field(1, description="Seed of the dice that faults with a proportion throw.")

    callback_base_url: str = Field("http://127.0.0.1:8000", description="Where receipts go: Sigmora's API.")
    callback_token: SecretStr = Field(SecretStr(""), description="Sent as X-Provider-Token with each receipt.")
    callback_timeout_seconds: float = Field(5.0, gt=0, description="How long a receipt may take, in seconds.")
    auto_receipts: bool = Field(False, description="Report each new message as DELIVERED by itself.")
    auto_receipts_delay_ms: int = Field(500, ge=0, description="How long after the message, in milliseconds.")
