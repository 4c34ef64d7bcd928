"""How preferences by topic, priority and category read as a filter."""

from collections.abc import Iterable


def pattern_of_preferences(
    topic: Iterable[str] = (), priority: Iterable[str] = (), category: Iterable[str] = ()
) -> dict[str, object] | None:
    """The source of the filter that the preferences mean; None, which every event passes, when they restrict nothing.

    A topic covers the topics below it: `sports` is written as `["sports", {"prefix": "sports/"}]`.
    """
    pattern: dict[str, object] = {}
    if topics := list(topic):
        pattern["topic"] = [alternative for name in topics for alternative in (name, {"prefix": _below(name)})]
    if priorities := list(priority):
        pattern["priority"] = priorities
    if categories := list(category):
        pattern["category"] = categories
    return pattern or None


def _below(topic: str) -> str:
    return topic if topic.endswith("/") else topic + "/"
