"""What the processes of `sigmora up` get in their environment. What the user has set always wins."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from deploy.local.ports import HOST
from libs.common.domain.api_keys import DEV_API_KEY

_ONLY_FOR_DEVELOPERS = ("WEBHOOK_ALLOW_HTTP", "WEBHOOK_ALLOW_PRIVATE")
_SECRET_NAMES = ("SECRET_KEY", "PROVIDER_CALLBACK_TOKEN", "PROVIDER_API_KEY")


def developer_environ(ports: Mapping[str, int], secret: Mapping[str, str]) -> dict[str, str]:
    """Settings for a developer's machine: every provider is the simulator."""
    api = f"http://{HOST}:{ports['API_PORT']}"
    channels = {name: f"http://{HOST}:{ports[f'SIMULATOR_{name}_PORT']}" for name in ("EMAIL", "SMS", "PUSH")}
    return {
        **{variable: str(port) for variable, port in ports.items()},
        "ENV": "dev",
        "SECRET_KEY": secret["SECRET_KEY"],
        "PROVIDER_CALLBACK_TOKEN": secret["PROVIDER_CALLBACK_TOKEN"],
        **{f"{name}_PROVIDER_BASE_URL": url for name, url in channels.items()},
        **{f"{name}_PROVIDER_API_KEY": secret["PROVIDER_API_KEY"] for name in channels},
        "SIGMORA_API_KEY": DEV_API_KEY,
        "PUBLIC_BASE_URL": api,
        "SIGMORA_API_URL": api,
        "SIGMORA_ROUTER_URL": f"http://{HOST}:{ports['ROUTER_PORT']}",
        "SIGMORA_DISPATCHER_URL": f"http://{HOST}:{ports['DISPATCHER_PORT']}",
        "SIMULATOR_CALLBACK_BASE_URL": api,
        # the simulator's webhook sink: on this machine, and without TLS
        "WEBHOOK_ALLOWED_PORTS": f"443,{ports['SIMULATOR_WEBHOOK_PORT']}",
        **dict.fromkeys(_ONLY_FOR_DEVELOPERS, "true"),
    }


def with_user_settings(defaults: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """`defaults` with what the user has set over them; an empty variable counts as not set."""
    merged = {name: environ.get(name, "").strip() or value for name, value in defaults.items()}
    if merged["ENV"] != "dev":  # where the dispatcher refuses to start with them
        merged = {name: value for name, value in merged.items() if name not in _ONLY_FOR_DEVELOPERS}
    # the simulator must show the same token, whoever chose it
    own_token = environ.get("SIMULATOR_CALLBACK_TOKEN", "").strip()
    return {**merged, "SIMULATOR_CALLBACK_TOKEN": own_token or merged["PROVIDER_CALLBACK_TOKEN"]}


def read_or_make_secrets(file: Path) -> dict[str, str]:
    """Random secrets, kept so that tokens outlive a restart. The file is readable by its owner only."""
    try:
        kept: dict[str, str] = json.loads(file.read_text())
    except (OSError, ValueError):
        kept = {}
    wanted = {name: kept.get(name) or secrets.token_urlsafe(32) for name in _SECRET_NAMES}
    if wanted != kept:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".unfinished")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as output:
            json.dump(wanted, output)
        unfinished.rename(file)
    return wanted
