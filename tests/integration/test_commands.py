"""What an operator's commands do to real servers, and what they say when there are none."""

import gc
import json
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from libs.common.cli import indexes, seed
from libs.common.cli.app import app
from libs.common.domain.api_keys import DEV_API_KEY, split_key
from libs.common.domain.channels import Channel

pytestmark = pytest.mark.integration

Command = Callable[..., Result]
NOBODY = "127.0.0.1:1"


@pytest.fixture
def run(stack: Any, database_name: str, topic_prefix: str) -> Command:
    """Runs a command in an environment of this test's own."""
    environ = {
        "ENV": "dev",
        "KAFKA_BOOTSTRAP_SERVERS": stack.kafka_bootstrap_servers,
        "KAFKA_PARTITIONS": "1",
        "RETRY_SCHEDULE": "1s",
        "MONGODB_URI": stack.mongodb_uri,
        "MONGODB_DB": database_name,
        "TOPIC_PREFIX": topic_prefix,
        **{f"SIGMORA_{part}_URL": f"http://{NOBODY}" for part in ("API", "ROUTER", "DISPATCHER")},
    }

    def running(*arguments: str, **changed: str) -> Result:
        return CliRunner().invoke(app, arguments, env=environ | changed)

    return running


def test_topics_are_planned_made_and_then_as_they_should_be(run: Command, topic_prefix: str) -> None:
    planned = run("topics", "plan", "--json")
    changes = json.loads(planned.stdout)
    assert (planned.exit_code, changes["applied"]) == (1, False)
    assert f"{topic_prefix}ingest.acme" not in {change["topic"] for change in changes["changes"]}

    applied = run("topics", "apply", "--tenant", "acme", "--json")
    made = {change["topic"] for change in json.loads(applied.stdout)["changes"]}
    assert made == {change["topic"] for change in changes["changes"]} | {f"{topic_prefix}ingest.acme"}

    again = run("topics", "plan", "--tenant", "acme")
    assert (again.exit_code, again.stdout) == (0, "Topics are as they should be.\n")


def test_a_tier_that_a_longer_schedule_had_is_named(run: Command, topic_prefix: str) -> None:
    """What waited there was tried by nobody, and nobody was told."""
    run("topics", "apply", RETRY_SCHEDULE="1s,2s")

    planned = run("topics", "plan", "--json")

    unread = [change for change in json.loads(planned.stdout)["changes"] if change["action"] == "not read"]
    names = [f"{topic_prefix}deliveries.{channel.lower()}.retry.2" for channel in Channel]
    assert [change["topic"] for change in unread] == sorted(names)
    assert planned.exit_code == 1


def test_a_tenant_whose_name_no_topic_can_have_is_refused_before_anything_is_made(run: Command) -> None:
    refused = run("topics", "apply", "--tenant", "a/b")
    assert refused.exit_code == 2
    assert "'a/b' cannot be part of a topic's name" in refused.stderr


def test_the_doctor_finds_what_is_away_and_says_what_to_do(run: Command) -> None:
    run("topics", "apply")

    result = run("doctor", "--json")

    found = {finding["part"]: finding for finding in json.loads(result.stdout)["findings"]}
    assert result.exit_code == 1
    assert {part for part, finding in found.items() if finding["ok"]} == {"kafka", "topics", "mongodb"}
    assert found["api"]["remedy"] == "start everything (make run), or python -m services.api with its settings"


def test_the_doctor_tells_a_missing_topic_from_a_missing_broker(run: Command) -> None:
    missing = {finding["part"]: finding for finding in json.loads(run("doctor", "--json").stdout)["findings"]}
    assert missing["kafka"]["ok"]
    assert "differences" in missing["topics"]["seen"]
    assert missing["topics"]["remedy"] == "sigmora topics apply"


def test_the_seeder_may_run_again_and_again(
    run: Command, database_name: str, mongo_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        written = json.loads(run("seed", "--json").stdout)
        assert (written["user"], written["api_key"]) == ("user_001", DEV_API_KEY)

    database = mongo_client[database_name]
    assert [database[name].count_documents({}) for name in ("subscribers", "templates", "api_keys")] == [1, 1, 1]


def test_the_seeder_refuses_outside_of_development(run: Command, database_name: str, mongo_client: Any) -> None:
    refused = run("seed", ENV="prod")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "ENV=dev only" in refused.stderr
    assert mongo_client[database_name].list_collection_names() == []


def test_indexes_are_made_and_making_them_again_does_no_harm(
    run: Command, database_name: str, mongo_client: Any
) -> None:
    first, second = (json.loads(run("indexes", "apply", "--json").stdout) for _ in range(2))
    assert first == second
    assert "notification_id_1_tenant_1" in mongo_client[database_name]["deliveries"].index_information()


def test_a_key_is_made_shown_without_its_secret_and_ended(run: Command) -> None:
    """An installation outside of development had no way to its first key."""
    key_of_shop = ("--tenant", "acme", "--name", "shop", "--scope", "events", "--scope", "templates")
    made = json.loads(run("api-keys", "create", *key_of_shop, "--json", ENV="prod").stdout)
    key_id, secret = split_key(made["api_key"])
    assert made["scopes"] == ["events", "templates"]

    listed = run("api-keys", "list", "--tenant", "acme", "--json").stdout
    assert [(key["key_id"], key["name"], key["revoked_at"]) for key in json.loads(listed)["items"]] == [
        (key_id, "shop", None)
    ]
    assert secret not in listed
    assert key_id in run("api-keys", "list", "--tenant", "acme").stdout

    assert run("api-keys", "revoke", "--tenant", "other", key_id).exit_code == 1
    assert run("api-keys", "revoke", "--tenant", "acme", key_id).exit_code == 0
    again = run("api-keys", "revoke", "--tenant", "acme", key_id)
    assert (again.exit_code, again.stderr) == (1, f"acme has no key {key_id!r} in force\n")
    [ended] = json.loads(run("api-keys", "list", "--tenant", "acme", "--json").stdout)["items"]
    assert ended["revoked_at"] is not None


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"--tenant": "a:b"}, "'a:b' cannot be part of a topic's name"), ({"--scope": "everything"}, "'everything'")],
)
def test_a_key_that_nothing_could_use_is_not_made(run: Command, changed: dict[str, str], told: str) -> None:
    options = {"--tenant": "acme", "--name": "shop", "--scope": "events"} | changed

    refused = run("api-keys", "create", *(word for option in options.items() for word in option))

    assert refused.exit_code == 2
    assert told in refused.stderr


@pytest.fixture
def without_the_socket_of_pymongo() -> Iterator[None]:
    """pymongo does not close the socket of a connection that is cancelled while it is being made (`pool_shared`, 4.x):
    a later test would be told of it. Collected here, where it is known whose it is."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.usefixtures("without_the_socket_of_pymongo")
@pytest.mark.parametrize("arguments", [("seed", "--json"), ("indexes", "apply", "--json")])
def test_without_a_database_a_command_ends_and_names_the_setting(
    run: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """They waited without end, and wrote their log to where the result belongs."""
    monkeypatch.setattr(indexes, "PATIENCE", timedelta())
    monkeypatch.setattr(seed, "PATIENCE", timedelta())

    result = run(*arguments, MONGODB_URI=f"mongodb://user:pass@{NOBODY}/", MONGODB_TIMEOUT="200ms")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "Is the server of MONGODB_URI running?" in result.stderr
    assert "pass" not in result.stderr


def test_without_a_broker_a_command_ends_and_names_the_setting(run: Command) -> None:
    result = run("topics", "plan", KAFKA_BOOTSTRAP_SERVERS=NOBODY)
    assert result.exit_code == 1
    assert f"KAFKA_BOOTSTRAP_SERVERS={NOBODY}" in result.stderr
