"""The topic table, and what a broker is told to change."""

from datetime import timedelta

import pytest

from libs.common.adapters.kafka.admin import Existing, Wanted, plan, wanted
from libs.common.domain.channels import Channel, Lane
from libs.common.settings import KafkaSettings
from libs.common.topics import Topics

TOPICS = Topics("sigmora.", (timedelta(seconds=5), timedelta(days=6)))
WANT = Wanted("a", 4, 1, {"retention.ms": "1000"})


def test_every_name_that_the_code_can_ask_for_is_in_the_table() -> None:
    asked = {TOPICS.events(lane) for lane in Lane} | {TOPICS.dead(channel) for channel in Channel}
    asked |= {TOPICS.deliveries(channel, lane) for channel in Channel for lane in Lane}
    asked |= {TOPICS.retry(channel, tier) for channel in Channel for tier in (1, 2)}
    asked |= {TOPICS.subscriptions, TOPICS.decisions, TOPICS.status, TOPICS.dead_letters}

    assert {topic.name for topic in TOPICS.table()} == asked


def test_a_retry_topic_keeps_records_for_twice_the_whole_schedule() -> None:
    """Else a broker may delete a delivery that waits in it."""
    kept = next(topic for topic in TOPICS.table() if topic.name == TOPICS.retry(Channel.EMAIL, 2))

    assert kept.retention == 2 * timedelta(days=6, seconds=5)


def test_subscriptions_are_compacted_and_nothing_else_is() -> None:
    settings = KafkaSettings()

    compacted = [t.name for t in TOPICS.table() if wanted(t, settings).configs["cleanup.policy"] == "compact"]

    assert compacted == [TOPICS.subscriptions]


def test_how_many_copies_must_have_a_write_is_set_only_where_it_is_asked_for() -> None:
    """Brokers may ask for more than one by themselves."""
    topic = next(TOPICS.table())

    asked = wanted(topic, KafkaSettings(replication_factor=3, min_insync_replicas=2))
    [change] = plan([asked], {})

    assert asked.configs["min.insync.replicas"] == "2"
    assert change.detail == "4 partitions, replication factor 3, min.insync.replicas=2"
    assert "min.insync.replicas" not in wanted(topic, KafkaSettings()).configs


@pytest.mark.parametrize(
    ("existing", "actions"),
    [
        (None, ["create"]),
        (Existing("a", 4, {"retention.ms": "1000", "segment.ms": "5"}), []),  # what others set stays
        (Existing("a", 2, {"retention.ms": "1000"}), ["add partitions"]),
        (Existing("a", 8, {"retention.ms": "1000"}), ["keep partitions"]),  # fewer is impossible: said, not done
        (Existing("a", 4, {"retention.ms": "9"}), ["set"]),
        (Existing("a", 2, {}), ["add partitions", "set"]),
    ],
)
def test_the_plan_names_what_differs(existing: Existing | None, actions: list[str]) -> None:
    changes = plan([WANT], {"a": existing} if existing else {})

    assert [change.action for change in changes] == actions
