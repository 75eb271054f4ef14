"""What the settings of all processes share: where they come from, and what each process needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from settings.kafka import KafkaSettings
from settings.redis import RedisSettings

PREFIX = "NEXTCLICK_"
FILE = Path("nextclick.toml")
"""The file of settings, in the working directory."""

DAY_S = 24 * 3600

RESERVED_TENANTS = ("s", "u")
"""Their Redis keys would be those of sessions and users of whoever has no tenant:
``nextclick:s:s:x`` is also the session ``s:x``."""


class ProcessSettings(BaseSettings):
    """Settings from environment variables ``NEXTCLICK_*``, then ``nextclick.toml``, then defaults.

    A process serves one tenant.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, toml_file=FILE, extra="ignore", allow_inf_nan=False
    )

    tenant: str = Field(
        default="",
        max_length=200,
        description="Prefix of topics and Redis keys",
    )
    log_format: Literal["json", "text"] = Field(
        default="json", description="Lines of the log: json for programs, text for people"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level of our lines; debug has personal data"
    )

    @field_validator("tenant")
    @classmethod
    def _name_of_topics(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._-]*", value):
            raise ValueError("may have letters, digits, '.', '_' and '-', as names of topics do")
        if value in RESERVED_TENANTS:
            raise ValueError("is in the Redis keys of those without a tenant; choose another name")
        return value

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


def variables(settings: KafkaSettings | RedisSettings) -> dict[str, str]:
    """Return settings as variables for another process."""
    return {f"{PREFIX}{name.upper()}": str(value) for name, value in settings}


class Settings(KafkaSettings, RedisSettings, ProcessSettings):
    """Settings of a process that reads or writes Kafka or Redis."""
