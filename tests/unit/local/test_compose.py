"""compose.yaml says the same as the table of `sigmora up`: the same services, ports and settings."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.documents import PROCESSES, variables
from deploy.local import containers
from deploy.local.environment import developer_environ
from deploy.local.ports import DEFAULT_PORTS, read_ports
from deploy.local.table import SERVICES, SIMULATOR_PORTS

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
PORT_OF = {
    **{name: (variable,) for name, (_, variable, _) in SERVICES.items()},
    "kafka": ("KAFKA_PORT",),
    "mongo": ("MONGO_PORT",),
    "simulator": SIMULATOR_PORTS,
}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_runs_the_same_command(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["command"] == ["python", "-m", SERVICES[name][0]]
    assert service["profiles"] == ["app"]


@pytest.mark.parametrize("name", PORT_OF)
def test_a_port_is_published_to_this_machine_only_under_its_variable(name: str) -> None:
    wanted = {
        f"127.0.0.1:${{{variable}:-{DEFAULT_PORTS[variable]}}}:{DEFAULT_PORTS[variable]}" for variable in PORT_OF[name]
    }
    assert set(COMPOSE["services"][name]["ports"]) == wanted


def test_every_part_is_there() -> None:
    assert set(COMPOSE["services"]) == {*PORT_OF, "prepare"}


def test_kafka_and_mongo_start_without_a_profile() -> None:
    assert [name for name, service in COMPOSE["services"].items() if "profiles" not in service] == ["kafka", "mongo"]


def test_the_services_get_every_provider_setting_that_a_developer_gets() -> None:
    wanted = {name for name in developer_environ(read_ports({}), dict.fromkeys(_SECRETS, "x")) if "PROVIDER" in name}
    assert wanted <= COMPOSE["services"]["api"]["environment"].keys()
    assert {"ENV", "KAFKA_BOOTSTRAP_SERVERS", "MONGODB_URI", "SECRET_KEY"} <= COMPOSE["services"]["api"][
        "environment"
    ].keys()


def test_every_setting_of_a_service_can_be_set() -> None:
    """Mail servers, Twilio, the cache and retries could not be, and webhooks of the simulator were blocked."""
    inside = {f"{name.upper()}_{what}" for name in SERVICES for what in ("HOST", "PORT")}  # the image's own business
    models = [model for process, model in PROCESSES.items() if process.lower() in SERVICES]
    wanted = {variable for model in models for variable, _ in variables(model)} - inside
    environment = COMPOSE["services"]["dispatcher"]["environment"]
    assert len(models) == len(SERVICES)
    assert wanted <= environment.keys()
    assert environment["WEBHOOK_ALLOWED_PORTS"].endswith(f",{DEFAULT_PORTS['SIMULATOR_WEBHOOK_PORT']}}}")


@pytest.mark.parametrize(("service", "image"), [("kafka", containers.KAFKA_IMAGE), ("mongo", containers.MONGO_IMAGE)])
def test_tests_and_compose_use_the_same_images(service: str, image: str) -> None:
    assert COMPOSE["services"][service]["image"].endswith(f":-{image}}}")


def test_the_image_does_not_run_as_root_and_takes_its_base_as_an_argument() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert "ARG BASE=python:3.12-slim" in text
    for stage in re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]:
        assert stage.splitlines()[0].startswith(("${BASE}", "build "))
        assert "CMD" not in stage or re.search(r"^USER 10001$", stage, re.MULTILINE)


_SECRETS = ("SECRET_KEY", "PROVIDER_CALLBACK_TOKEN", "PROVIDER_API_KEY")
