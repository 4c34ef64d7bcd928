"""What the command line needs to know of the running platform."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.common.domain.api_keys import DEV_API_KEY
from libs.common.settings import SettingsGroup


class ClientSettings(SettingsGroup):
    """How commands that go through the API reach it."""

    model_config = SettingsConfigDict(env_prefix="SIGMORA_")

    api_url: str = Field("http://127.0.0.1:8000", description="The API, for commands that go through it.")
    api_key: str = Field(DEV_API_KEY, description="API key for those commands.", repr=False)
    router_url: str = Field("http://127.0.0.1:8001", description="The router's probes, for `doctor`.")
    dispatcher_url: str = Field("http://127.0.0.1:8002", description="The dispatcher's probes, for `doctor`.")
