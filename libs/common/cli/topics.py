"""`sigmora topics`: shows what differs between the topic table and the brokers, and makes it so."""

import asyncio
from collections import Counter

import typer

from libs.common.adapters.kafka.admin import Change, apply_topics, plan_topics
from libs.common.cli.output import AsJson, fail, show_json, show_table
from libs.common.cli.tenants import IngestTenants
from libs.common.domain.errors import Unavailable
from libs.common.settings import KafkaSettings, TopicSettings, read_settings

_MANY = 10
"""More rows than that hide what else is on the terminal."""

app = typer.Typer(help="Topics: what differs from the table (plan), and make it so (apply).", no_args_is_help=True)


@app.command("plan")
def plan_command(tenant: IngestTenants = None, as_json: AsJson = False) -> None:
    """Show what `apply` would change; changes nothing. Exit code 0 when nothing differs, 1 otherwise."""
    changes = _run(tenant, apply=False)
    _show(changes, as_json, done=False)
    if changes:
        raise typer.Exit(1)


@app.command("apply")
def apply_command(tenant: IngestTenants = None, as_json: AsJson = False) -> None:
    """Create what is missing, add partitions, set retention. Deletes nothing, keeps what others have set; can run again
    and again."""
    _show(_run(tenant, apply=True), as_json, done=True)


def _show(changes: list[Change], as_json: bool, *, done: bool) -> None:
    if as_json:
        show_json({"applied": done, "changes": changes})
    elif not changes:
        typer.echo("Topics are as they should be.")
    elif done and len(changes) > _MANY:
        counts = Counter(change.action for change in changes)
        typer.echo("Topics: " + ", ".join(f"{action} {count}" for action, count in counts.items()) + ".")
    else:
        rows = [
            {"topic": c.topic, "change": c.action, "detail": c.detail, "": "left as it is" if c.refused else ""}
            for c in changes
        ]
        show_table("Applied" if done else "Would change", rows, ("topic", "change", "detail", ""))


def _run(tenants: list[str] | None, *, apply: bool) -> list[Change]:
    kafka, names = read_settings(KafkaSettings), read_settings(TopicSettings)
    try:
        return asyncio.run((apply_topics if apply else plan_topics)(kafka, names, tenants or ()))
    except Unavailable as error:
        fail(f"{error}. Is the broker at KAFKA_BOOTSTRAP_SERVERS={kafka.bootstrap_servers} running?")
