"""docs/filters.md tells the truth: every example and every refusal on the page is run."""

import re
from pathlib import Path

import msgspec
import pytest

from libs.common.domain.pattern import (
    InvalidPattern,
    flatten,
    matches,
    parse_event,
    parse_json,
    parse_optional,
    pattern_of_preferences,
)
from libs.common.domain.pattern.parsing import (
    MAX_ALTERNATIVES,
    MAX_BRANCHES,
    MAX_CONDITIONS,
    MAX_EXPANDED,
    MAX_PATTERN_BYTES,
    MAX_PATTERN_DEPTH,
)

PAGE = Path(__file__).parents[4].joinpath("docs", "filters.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILTERS = [text.splitlines() for kind, text in BLOCKS if kind == "filter"]
PREFERENCES = [text.splitlines() for kind, text in BLOCKS if kind == "preferences"]
REFUSALS = re.findall(r"^\| `(.+?)` \| (?:`(.+?)`)? ?\| (.+) \|$", PAGE, re.MULTILINE)
ANSWERS = {"yes": True, "no": False}


def test_the_page_has_examples_of_everything() -> None:
    assert {kind for kind, _ in BLOCKS} == {"filter", "preferences"}
    assert (len(FILTERS), len(PREFERENCES), len(REFUSALS)) == (23, 3, 23)


@pytest.mark.parametrize("lines", FILTERS, ids=lambda lines: lines[0])
def test_an_example_answers_as_the_page_says(lines: list[str]) -> None:
    pattern = parse_json(lines[0])
    for line in lines[1:]:
        answer, event = line.split(maxsplit=1)
        assert matches(pattern, flatten(parse_event(event))) is ANSWERS[answer], line


@pytest.mark.parametrize("lines", PREFERENCES, ids=lambda lines: lines[0])
def test_preferences_mean_what_the_page_says(lines: list[str]) -> None:
    source = pattern_of_preferences(**msgspec.json.decode(lines[0]))
    assert lines[1].startswith("means ")
    assert source == msgspec.json.decode(lines[1].removeprefix("means "))
    for line in lines[2:]:
        answer, event = line.split(maxsplit=1)
        assert matches(parse_optional(source), flatten(parse_event(event))) is ANSWERS[answer], line


@pytest.mark.parametrize(("source", "path", "reason"), REFUSALS)
def test_a_refusal_is_worded_as_on_the_page(source: str, path: str, reason: str) -> None:
    with pytest.raises(InvalidPattern) as refusal:
        parse_json(source)
    assert refusal.value.path == path
    assert reason in refusal.value.reason


def test_the_limits_are_those_on_the_page() -> None:
    limits = (
        f"more than {MAX_BRANCHES:,} branches, {MAX_CONDITIONS:,} conditions or {MAX_EXPANDED:,} alternatives "
        f"when `$or` is spelled out, more than {MAX_ALTERNATIVES:,} alternatives as written, "
        f"more than {MAX_PATTERN_DEPTH} levels, a text of more than {MAX_PATTERN_BYTES // 1024} KiB"
    )
    assert limits in " ".join(PAGE.split())
