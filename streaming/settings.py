"""Settings of the streaming room: environment ``NEXTCLICK_*``, else ``nextclick.toml``."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)


class StoreSettings(BaseSettings):
    """Settings of the session store."""

    model_config = SettingsConfigDict(
        env_prefix="NEXTCLICK_", toml_file="nextclick.toml", extra="ignore"
    )

    kafka: str = Field(default="127.0.0.1:9092", description="Kafka bootstrap servers, host:port")
    redis: str = Field(default="redis://127.0.0.1:6379/0", description="URL of Redis")
    tenant: str = Field(default="", description="Prefix of topics and Redis keys")
    session_expiry_s: int = Field(
        default=30 * 24 * 3600, gt=0, description="Life of a session in Redis"
    )
    store_batch: int = Field(
        default=1_000, gt=0, le=10_000, description="Records a pipelined write"
    )
    store_http_port: int = Field(default=0, ge=0, description="Port of the metrics; 0: none")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment before file."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)
