"""`python -m services.router`: the router as a process."""

from libs.common.observability.logging import configure_logging
from libs.common.serving import serve
from libs.common.settings import read_settings
from services.router.app import create_app
from services.router.settings import Settings


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    settings = read_settings(Settings)
    configure_logging("router", settings.environment.log_level)
    serve(create_app(settings), settings.router.host, settings.router.port, "ROUTER_PORT")


if __name__ == "__main__":
    main()
