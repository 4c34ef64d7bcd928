"""Every metric of Sigmora, by name, in one table; code asks for one by its name and a misspelt name fails at once."""

from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Name = Literal[
    "events_accepted",
    "events_refused",
    "events_routed",
    "decisions",
    "deliveries_published",
    "index_subscribers",
    "index_ready",
    "deliveries_settled",
    "attempts",
    "attempt_seconds",
    "put_off",
    "breaker_moves",
    "breakers_open",
    "retries_waiting",
    "retry_lateness_seconds",
    "dead_letters",
    "consumer_lag",
    "end_to_end_seconds",
    "outbox_swept",
    "outbox_refused",
    "scheduled_released",
    "http_requests",
    "http_request_seconds",
]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True)
class _Metric:
    kind: type[Counter] | type[Gauge] | type[Histogram]
    text: str
    labels: tuple[str, ...] = ()


TABLE: dict[Name, _Metric] = {
    "events_accepted": _Metric(Counter, "Events appended to the log", ("lane",)),
    "events_refused": _Metric(Counter, "Events refused at the API", ("reason",)),
    "events_routed": _Metric(Counter, "Events whose audience was recorded", ("lane",)),
    "decisions": _Metric(Counter, "Decisions, one per subscriber and channel", ("outcome", "reason")),
    "deliveries_published": _Metric(Counter, "Deliveries published for dispatch", ("channel",)),
    "index_subscribers": _Metric(Gauge, "Subscribers in the router's index"),
    "index_ready": _Metric(Gauge, "1 while the index is whole and no change is missing in it"),
    "deliveries_settled": _Metric(Counter, "Deliveries that came to rest", ("channel", "state")),
    "attempts": _Metric(Counter, "Calls to providers", ("channel", "provider", "answer")),
    "attempt_seconds": _Metric(Histogram, "How long providers took", ("channel", "provider")),
    "put_off": _Metric(Counter, "Deliveries put off without an attempt", ("channel", "reason")),
    "breaker_moves": _Metric(Counter, "Changes of circuit breakers", ("channel", "provider", "position")),
    "breakers_open": _Metric(Gauge, "Circuit breakers that are not closed", ("channel", "provider")),
    "retries_waiting": _Metric(Gauge, "Deliveries held for their due time", ("channel", "tier")),
    "retry_lateness_seconds": _Metric(Histogram, "Time from due to the next attempt", ("channel",)),
    "dead_letters": _Metric(Counter, "Records given up as unreadable", ("consumer",)),
    "consumer_lag": _Metric(Gauge, "Records yet to be read", ("group", "topic", "partition")),
    "end_to_end_seconds": _Metric(Histogram, "Time from the event's acceptance to the provider's", ("channel",)),
    "outbox_swept": _Metric(Counter, "Subscriber changes that a crash had left unpublished"),
    "outbox_refused": _Metric(Counter, "Subscriber changes too large for the log, of which no router hears"),
    "scheduled_released": _Metric(Counter, "Held deliveries released on time", ("channel",)),
    "http_requests": _Metric(Counter, "Requests answered", ("method", "route", "status")),
    "http_request_seconds": _Metric(Histogram, "How long requests took", ("method", "route")),
}


class Metrics:
    """The metrics of one process, in a registry of their own, prefixed `sigmora_`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._metrics = {
            name: metric.kind(
                f"sigmora_{name}",
                metric.text,
                metric.labels,
                registry=self.registry,
                **({"buckets": _SECONDS} if metric.kind is Histogram else {}),  # type: ignore[arg-type]  # only Histogram takes buckets
            )
            for name, metric in TABLE.items()
        }

    def count(self, name: Name, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        metric = self._metrics[name]
        assert isinstance(metric, Counter)  # noqa: S101 - the table says what it is; a misuse is a defect
        (metric.labels(**labels) if labels else metric).inc(amount)

    def gauge(self, name: Name, value: float, **labels: str) -> None:
        """Set a gauge."""
        metric = self._metrics[name]
        assert isinstance(metric, Gauge)  # noqa: S101 - as above
        (metric.labels(**labels) if labels else metric).set(value)

    def observe(self, name: Name, seconds: float, **labels: str) -> None:
        """Record a duration."""
        metric = self._metrics[name]
        assert isinstance(metric, Histogram)  # noqa: S101 - as above
        (metric.labels(**labels) if labels else metric).observe(seconds)
