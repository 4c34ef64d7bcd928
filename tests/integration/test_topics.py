"""What `sigmora topics apply` does on the brokers."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from typer.testing import CliRunner, Result

from libs.common.adapters.kafka.admin import Wanted, open_admin, plan
from libs.common.cli.topics import app
from libs.common.settings import KafkaSettings
from libs.common.testing.driver import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
async def client(stack: Any) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap_servers)
    await client.start()
    yield client
    await client.close()


async def set_on(client: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    """What is set on the topic itself."""
    (answer,) = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    ((_, _, _, _, entries),) = answer.resources
    return {name: value for name, value, _, source, *_ in entries if source == 1}


def test_the_topic_of_a_tenant_is_made_when_it_is_asked_for(stack: Any, topic_prefix: str) -> None:
    """Brokers make none by themselves, and nothing of ours did: there was no way in by Kafka."""
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": stack.kafka_bootstrap_servers,
        "KAFKA_PARTITIONS": "1",
        "TOPIC_PREFIX": topic_prefix,
    }

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments, env=environment)

    applied = run("apply", "--tenant", "acme", "--tenant", "other", "--json")

    names = {change["topic"] for change in json.loads(applied.stdout)["changes"]}
    assert names >= {f"{topic_prefix}ingest.acme", f"{topic_prefix}ingest.other", f"{topic_prefix}events.bulk"}
    assert run("plan", "--tenant", "acme").exit_code == run("plan").exit_code == 0
    another = run("plan", "--tenant", "another")
    assert another.exit_code == 1
    assert f"{topic_prefix}ingest.another" in another.stdout


@pytest.mark.parametrize("tenant", ["", "a/b", "ä", "x" * 101])
def test_a_tenant_that_no_topic_can_be_named_for_is_refused(tenant: str) -> None:
    refused = CliRunner().invoke(app, ["apply", "--tenant", tenant])

    assert refused.exit_code == 2
    assert "cannot be part of a topic's name" in " ".join(refused.stderr.split())


async def test_what_operators_have_set_on_a_topic_stays(
    stack: Any, topic_prefix: str, client: AIOKafkaAdminClient
) -> None:
    """Setting a retention dropped an operator's min.insync.replicas in silence."""
    topic = f"{topic_prefix}words"
    first, then = (Wanted(topic, 1, 1, {"retention.ms": str(kept)}) for kept in (1000, 2000))
    theirs = {"min.insync.replicas": "2", "segment.ms": "60000"}
    async with open_admin(KafkaSettings(bootstrap_servers=stack.kafka_bootstrap_servers)) as admin:
        await admin.apply(plan([first], {}), {topic: first})
        set_by_them = {**first.configs, **theirs}
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, set_by_them)])
        await eventually(lambda: set_on(client, topic), lambda seen: seen == set_by_them)

        changes = plan([then], await admin.existing([topic]))
        await admin.apply(changes, {topic: then})

        assert [change.action for change in changes] == ["set"]
        assert await set_on(client, topic) == {"retention.ms": "2000", **theirs}
        assert plan([then], await admin.existing([topic])) == []
