"""What is wrong is said in the words of who sent it: JSON's."""

from typing import Any

import pytest

from services.api.wording import reworded

World = Any
BODY = {"email": "ada@example.com", "password": "a long password"}


@pytest.mark.parametrize(
    ("change", "pointer", "message"),
    [
        ({"email": 5}, "email", "must be a string"),
        ({"more": 1}, "more", "is not known here"),
        ({"preferences": [1]}, "preferences", "must be an object"),
        ({"preferences": {"topic": 5}}, "preferences.topic", "must be an array"),
        ({"preferences": {"topic": ["x"] * 201}}, "preferences.topic", "must have at most 200 items"),
        (
            {"preferences": {"channels": ["PIGEON"]}},
            "preferences.channels[0]",
            "must be 'EMAIL', 'SMS', 'PUSH', 'WEBHOOK' or 'INAPP'",
        ),
    ],
)
async def test_a_fault_is_told_without_a_word_of_python(
    world: World, change: dict[str, Any], pointer: str, message: str
) -> None:
    answer = await world.client.post("/subscribe", json={**BODY, **change})

    assert answer.json()["errors"] == [{"pointer": pointer, "message": message}]


async def test_what_is_missing_is_required(world: World) -> None:
    whole = await world.client.post("/subscribe")
    part = await world.client.post("/subscribe", json={"email": "ada@example.com"})

    assert whole.json()["errors"] == [{"pointer": "body", "message": "is required"}]
    assert part.json()["errors"] == [{"pointer": "password", "message": "is required"}]


def test_what_the_table_does_not_know_stays() -> None:
    assert reworded("something new") == "something new"
