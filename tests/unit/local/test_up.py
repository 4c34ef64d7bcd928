"""What `sigmora up` says before and after its start: ports, addresses that are none, the banner."""

import pytest

from deploy.local.errors import StackError
from deploy.local.parts import Parts, find_parts, server_ports
from deploy.local.ports import find_free_port, read_ports, require_free
from deploy.local.source import KAFKA_VARIABLE, MONGO_VARIABLE, Source
from deploy.local.up import banner

KEY = "sk_dev_key"
ENVIRON = {
    "SIGMORA_API_URL": "http://127.0.0.1:8000",
    "SIGMORA_API_KEY": KEY,
    "SIMULATOR_EMAIL_PORT": "9001",
    KAFKA_VARIABLE: "127.0.0.1:9092",
}
PARTS = Parts((), {}, {KAFKA_VARIABLE: Source.PROCESS, MONGO_VARIABLE: Source.PROCESS})


def test_a_developer_is_shown_a_key_and_a_first_call() -> None:
    text = banner(PARTS, {**ENVIRON, "ENV": "dev"})

    assert f"API key         {KEY}\n" in text
    assert f"curl -s http://127.0.0.1:8000/notifications -H 'Authorization: Bearer {KEY}'" in text


def test_a_key_that_was_not_seeded_is_not_shown() -> None:
    """`ENV=prod sigmora up` showed the developer's key and a call that was answered with 401."""
    text = banner(PARTS, {**ENVIRON, "ENV": "prod"})

    assert KEY not in text
    assert "first call" not in text
    assert "http://127.0.0.1:8000/docs" in text


def test_a_server_and_a_service_with_one_port_are_refused() -> None:
    """Both were asked for apart, so that nobody saw it until one of them could not listen."""
    free = {name: str(find_free_port()) for name in ("KAFKA_PORT", "MONGO_PORT")}  # a `make run` may have the defaults
    environ = {**free, "API_PORT": free["KAFKA_PORT"], "SIGMORA_STACK": "process"}

    with pytest.raises(StackError, match=f"KAFKA_PORT and API_PORT are both {free['KAFKA_PORT']}"):
        require_free(read_ports(environ), [*server_ports(environ), "API_PORT"])


def test_a_server_that_somebody_else_runs_needs_no_port_here() -> None:
    environ = {KAFKA_VARIABLE: "there:9092", "SIGMORA_STACK": "process"}

    assert server_ports(environ) == ["MONGO_PORT"]


@pytest.mark.parametrize(
    ("variable", "text"), [(KAFKA_VARIABLE, "x:abc"), (MONGO_VARIABLE, "mongodb://h:99999/"), (MONGO_VARIABLE, "h:1")]
)
def test_an_address_that_is_none_is_one_line_with_its_variable(
    variable: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probe, which never raises, raised ValueError."""
    monkeypatch.setattr("deploy.local.parts.install_kafka", lambda: None)
    monkeypatch.setattr("deploy.local.parts.install_mongo", lambda: ("mongo",))
    environ = {"SIGMORA_STACK": "process", variable: text}

    with pytest.raises(StackError, match=f"^no server answers where {variable} says: [^\n]*$"):
        find_parts(environ, read_ports(environ))
