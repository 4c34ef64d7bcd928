"""The provider simulator: the outside world that Sigmora delivers to, as one process of its own.

It imports nothing of the product, and the product imports nothing of it: they meet on the wire only.
"""

from deploy.simulator.server import PortInUse, Simulator
from deploy.simulator.settings import Settings

__all__ = ["PortInUse", "Settings", "Simulator"]
