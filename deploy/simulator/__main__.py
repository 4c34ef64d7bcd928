"""`python -m deploy.simulator`: settings from the environment, one JSON line out, an end on SIGTERM."""

import asyncio
import logging
import signal
import sys

import msgspec
from pydantic import ValidationError

from deploy.simulator.server import PortInUse, Simulator
from deploy.simulator.settings import Settings

CANNOT_START = 2


def main() -> int:
    """The exit code: 0 when told to stop, 2 when it cannot start."""
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd warns of its own deprecations at each login
    try:
        return asyncio.run(_run(Settings()))
    except ValidationError as error:
        for wrong in error.errors():
            _complain(f"SIMULATOR_{'_'.join(map(str, wrong['loc'])).upper()}: {wrong['msg']}")
    except PortInUse as error:
        _complain(str(error))
    except OSError as error:
        _complain(f"SIMULATOR_LEDGER: {error}")
    return CANNOT_START


async def _run(settings: Settings) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Simulator(settings) as simulator:
        ready = {"ready": True, "host": settings.host, "ports": simulator.ports}
        sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
        sys.stdout.flush()
        await stop.wait()
    return 0


def _complain(line: str) -> None:
    sys.stderr.write(f"simulator: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
