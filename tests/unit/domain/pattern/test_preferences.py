"""Preferences as a filter."""

from libs.common.domain.pattern import flatten, matches, parse_optional, pattern_of_preferences


def test_nothing_asked_restricts_nothing() -> None:
    assert pattern_of_preferences() is None
    assert pattern_of_preferences(topic=[], priority=[], category=[]) is None


def test_a_topic_that_ends_in_a_slash_covers_what_is_below_it() -> None:
    pattern = parse_optional(pattern_of_preferences(topic=["sports/"]))
    assert matches(pattern, flatten({"topic": "sports/football"}))
    assert not matches(pattern, flatten({"topic": "sports"}))


def test_several_values_are_alternatives_and_several_dimensions_are_not() -> None:
    pattern = parse_optional(pattern_of_preferences(["tech", "news"], ["high"], ["alert"]))
    assert matches(pattern, flatten({"topic": "news/local", "priority": "high", "category": "alert"}))
    assert not matches(pattern, flatten({"topic": "news", "priority": "high", "category": "update"}))


def test_priorities_and_categories_are_exact() -> None:
    assert pattern_of_preferences(priority=["high"], category=["a"]) == {"priority": ["high"], "category": ["a"]}
