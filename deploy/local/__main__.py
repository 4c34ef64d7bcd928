"""`python -m deploy.local`: the stack without the services. Run it, fetch it, or forget what it has stored."""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.kafka import install_kafka
from deploy.local.mongo import install_mongo
from deploy.local.parts import forget_data
from deploy.local.servers import own_stack


def main() -> int:
    """Run one command; 1 and one line on the standard error when the stack cannot come up."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    parser.add_argument(
        "command", choices=["servers", "install", "forget"], help="run Kafka and Mongo, fetch them, or forget"
    )
    parser.add_argument("--kafka-port", type=int, help="a free one by default")
    parser.add_argument("--mongo-port", type=int, help="a free one by default")
    arguments = parser.parse_args()
    try:
        if arguments.command == "install":
            install_kafka()
            install_mongo()
        elif arguments.command == "forget":
            forget_data()
        else:
            _serve(arguments.kafka_port, arguments.mongo_port)
    except StackError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


def _serve(kafka_port: int | None, mongo_port: int | None) -> None:
    """Print two lines that a shell can `export`, then serve until Ctrl-C or SIGTERM; the data goes with it."""
    # not blocked and awaited: the servers would inherit the mask and never see a SIGTERM
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    with (
        tempfile.TemporaryDirectory(prefix="sigmora-") as folder,
        own_stack(Path(folder), kafka_port=kafka_port, mongo_port=mongo_port) as stack,
    ):
        sys.stdout.write(f"KAFKA_BOOTSTRAP_SERVERS={stack.kafka_bootstrap_servers}\nMONGODB_URI={stack.mongodb_uri}\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
