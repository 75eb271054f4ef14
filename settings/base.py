"""What the settings of all processes share: where they come from, and how errors are reported."""

from __future__ import annotations

from typing import TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

PREFIX = "NEXTCLICK_"


class Settings(BaseSettings):
    """Settings from environment variables ``NEXTCLICK_*``, then ``nextclick.toml``, then defaults.

    A process serves one tenant.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, toml_file="nextclick.toml", extra="ignore")

    kafka: str = Field(default="127.0.0.1:9092", description="Kafka bootstrap servers, host:port")
    redis: str = Field(default="redis://127.0.0.1:6379/0", description="URL of Redis")
    tenant: str = Field(default="", description="Prefix of topics and Redis keys")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Give the environment precedence over the file."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


AnySettings = TypeVar("AnySettings", bound=Settings)


def load(kind: type[AnySettings]) -> AnySettings:
    """Return the settings of a process, or exit with one line for each invalid one.

    Raises
    ------
    SystemExit
    """
    try:
        return kind()
    except ValidationError as e:
        faults = [
            f"{PREFIX}{'_'.join(map(str, error['loc'])).upper()}: {error['msg']}"
            for error in e.errors()
        ]
        raise SystemExit("\n".join(faults)) from None
