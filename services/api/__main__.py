"""`python -m services.api`: the API as a process."""

from libs.common.observability.logging import configure_logging
from libs.common.serving import serve
from libs.common.settings import read_settings
from services.api.app import create_app
from services.api.settings import ApiSettings


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    settings = read_settings(ApiSettings)
    configure_logging("api", settings.log_level)
    serve(create_app(settings), settings.api_host, settings.api_port, "API_PORT")


if __name__ == "__main__":
    main()
