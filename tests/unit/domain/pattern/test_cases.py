"""The 400 cases whose answers come from the reference implementation of the language."""

from pathlib import Path

import msgspec
import pytest

from libs.common.domain.pattern import InvalidPattern, flatten, matches, parse

CASES = [
    msgspec.json.decode(line)
    for line in Path(__file__).parents[3].joinpath("cases", "patterns.jsonl").read_text("utf-8").splitlines()
]


def by_id(cases: list[dict]) -> list:
    return [pytest.param(case, id=case["id"]) for case in cases]


@pytest.mark.parametrize("case", by_id([case for case in CASES if "match" in case]))
def test_a_valid_case_has_the_answer_of_the_reference(case: dict) -> None:
    assert matches(parse(case["pattern"]), flatten(case["event"])) is case["match"]


@pytest.mark.parametrize("case", by_id([case for case in CASES if "match" not in case]))
def test_an_invalid_case_is_refused_with_a_reason(case: dict) -> None:
    with pytest.raises(InvalidPattern) as refusal:
        parse(case["pattern"])
    assert refusal.value.reason


def test_all_the_cases_are_there() -> None:
    assert len(CASES) == 400
    assert len({case["id"] for case in CASES}) == 400
    assert sum("match" in case for case in CASES) == 350
