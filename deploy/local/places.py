"""Where the local stack keeps its files. Everything is inside the checkout and git-ignored, unless it is told."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent

STACK = CHECKOUT / ".stack"  # programs and data: survives `make clean`
DATA = STACK / "data"  # what `make clean-data` forgets
RUN = Path(os.environ.get("SIGMORA_RUN_FOLDER") or CHECKOUT / ".run")  # logs and secrets of `sigmora up`
LOGS = RUN / "logs"
SUPERVISOR_LOCK = RUN / "up.lock"  # one `sigmora up` per folder
COMPOSE_FILE = CHECKOUT / "deploy" / "compose.yaml"
