"""`python -m services.dispatcher`: the dispatcher as a process."""

from libs.common.observability.logging import configure_logging
from libs.common.serving import serve
from libs.common.settings import read_settings
from services.dispatcher.app import create_app
from services.dispatcher.settings import Settings


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    settings = read_settings(Settings)
    configure_logging("dispatcher", settings.environment.log_level)
    serve(create_app(settings), settings.dispatcher.host, settings.dispatcher.port, "DISPATCHER_PORT")


if __name__ == "__main__":
    main()
