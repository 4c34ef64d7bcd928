"""How every Kafka client of ours connects: the arguments that aiokafka's producer, consumer and admin share, and the
security object that FastStream wants instead."""

import ssl
from typing import Any

from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from libs.common.settings import KafkaSettings

RETRY_BACKOFF_MS = 200
"""Between metadata requests and reconnects. With the default 100 ms, and none after a clean stop, an absent broker
costs 65 % of a core per client; with 200 ms 1-3 %."""


def client_arguments(settings: KafkaSettings) -> dict[str, Any]:
    """Connection arguments for any aiokafka client."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers.split(","),
        "security_protocol": settings.security_protocol,
        "retry_backoff_ms": RETRY_BACKOFF_MS,
        "ssl_context": _ssl_context(settings),
    }
    if settings.security_protocol.startswith("SASL"):
        arguments |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password,
        }
    return arguments


_SASL = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


def broker_security(settings: KafkaSettings) -> BaseSecurity | None:
    """The same for FastStream. `use_ssl` is said outright: without it SASL silently falls back to plain text."""
    context = _ssl_context(settings)
    if settings.security_protocol.startswith("SASL"):
        return _SASL[settings.sasl_mechanism](
            username=settings.sasl_username,
            password=settings.sasl_password,
            ssl_context=context,
            use_ssl=context is not None,
        )
    return BaseSecurity(ssl_context=context, use_ssl=True) if context else None


def _ssl_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    if "SSL" not in settings.security_protocol.split("_"):
        return None
    return ssl.create_default_context(cafile=settings.ssl_ca_file or None)
