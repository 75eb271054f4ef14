"""Settings of a server replica: environment ``NEXTCLICK_*``, else ``nextclick.toml``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from online_models.engine import DEFAULT_SAMPLE


class ServerSettings(BaseSettings):
    """Settings of one replica; a process serves one tenant."""

    model_config = SettingsConfigDict(
        env_prefix="NEXTCLICK_", toml_file="nextclick.toml", extra="ignore"
    )

    kafka: str = Field(default="127.0.0.1:9092", description="Kafka bootstrap servers, host:port")
    redis: str = Field(default="redis://127.0.0.1:6379/0", description="URL of Redis")
    tenant: str = Field(default="", description="Prefix of topics and Redis keys")
    host: str = Field(default="127.0.0.1", description="Address that gRPC and HTTP listen on")
    grpc_port: int = Field(default=50051, ge=1, le=65535)
    token: str = Field(
        default="", description="Calls must carry it, health checks excepted; empty: all may call"
    )
    share_port: bool = Field(
        default=False, description="Listen, once ready, beside other processes on the same port"
    )
    http_port: int = Field(default=8080, ge=0, le=65535, description="Metrics, status; 0: none")
    data_dir: Path = Field(
        default=Path(".nextclick/server"), description="Snapshots of this replica alone"
    )
    snapshot_interval_s: float = Field(
        default=600, ge=0, description="Between snapshots; 0: at the end only"
    )
    max_items: int = Field(default=1 << 18, ge=1, description="Items that may have a row")
    max_sessions: int = Field(default=1 << 20, ge=1, description="Sessions kept; a power of two")
    emit_examples: bool = Field(
        default=False, description="Follow the log to emit examples, and answer nobody"
    )
    sample: int = Field(
        default=DEFAULT_SAMPLE, ge=1, description="One click in so many becomes an example"
    )
    shadow_sample: int = Field(
        default=4,
        ge=0,
        description="One answer in so many is ranked the other way too, to be scored; 0: none",
    )
    history: int = Field(
        default=10_000_000, ge=1, description="Records of `sessions` read at most at the start"
    )
    redis_timeout_ms: int = Field(default=5, ge=1, description="For one read in a request")
    max_waiting_puts: int = Field(
        default=120, ge=1, le=1_000, description="PutEvents and catalogue calls that may wait"
    )
    put_timeout_s: float = Field(default=10, gt=0, description="For an acknowledgement of Kafka")
    impressions_queue: int = Field(
        default=10_000, ge=1, description="Impressions waiting for Kafka; more are dropped"
    )
    impressions_per_s: int = Field(
        default=500, ge=1, description="Answers recorded at most; of more, so many are"
    )
    realtime: bool = Field(
        default=False, description="Answer before other processes, where the system allows it"
    )
    drain_s: float = Field(default=5, ge=0, description="For calls in flight at the end")

    @field_validator("max_sessions")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError(f"{value} is no power of two; take {1 << value.bit_length()}")
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
        """Environment before file."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load() -> ServerSettings:
    """Return the settings, or end with one line for each that is wrong."""
    try:
        return ServerSettings()
    except ValidationError as e:
        faults = [
            f"NEXTCLICK_{'_'.join(map(str, error['loc'])).upper()}: {error['msg']}"
            for error in e.errors()
        ]
        raise SystemExit("\n".join(faults)) from None
