"""Settings of a replica of the log: a server, or the example emitter."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from online_models.learners.sample import DEFAULT_SAMPLE
from settings.base import Settings


class ServerSettings(Settings):
    """Settings of one replica."""

    host: str = Field(default="127.0.0.1", description="Address that gRPC and HTTP listen on")
    grpc_port: int = Field(default=50051, ge=1, le=65535, description="Port of gRPC")
    token: str = Field(
        default="",
        description="Calls must carry it, except for health checks; empty: anyone may call",
    )
    share_port: bool = Field(
        default=False, description="Listen, once ready, beside other processes on the same port"
    )
    http_port: int = Field(
        default=8080, ge=0, le=65535, description="Port of metrics and status; 0: none"
    )
    data_dir: Path = Field(
        default=Path(".nextclick/server"), description="Snapshots of this replica alone"
    )
    snapshot_interval_s: float = Field(
        default=600, ge=0, description="Between two snapshots; 0: only on shutdown"
    )
    max_items: int = Field(default=1 << 18, ge=1, description="Items that may have a row")
    max_sessions: int = Field(default=1 << 20, ge=1, description="Sessions kept; a power of two")
    emit_examples: bool = Field(
        default=False, description="Be the example emitter: follow the log, and answer no calls"
    )
    sample: int = Field(
        default=DEFAULT_SAMPLE, ge=1, description="One click in this many becomes an example"
    )
    shadow_sample: int = Field(
        default=4,
        ge=0,
        description="One answer in this many is ranked the other way too, to be scored; 0: none",
    )
    policy: str = Field(
        default="", description="Policy that re-orders what was ranked; empty: none"
    )
    history: int = Field(
        default=10_000_000,
        ge=1,
        description="Records of `sessions` read at most by a replica without a snapshot",
    )
    redis_timeout_ms: int = Field(default=5, ge=1, description="Of one read during a request")
    max_waiting_puts: int = Field(
        default=120, ge=1, le=1_000, description="Calls that may wait for Kafka at the same time"
    )
    put_timeout_s: float = Field(
        default=10, gt=0, description="Longest wait for an acknowledgement from Kafka"
    )
    impressions_queue: int = Field(
        default=10_000, ge=1, description="Impressions waiting for Kafka; further ones are dropped"
    )
    impressions_per_s: int = Field(
        default=500, ge=1, description="Answers recorded a second at most, evenly spaced"
    )
    realtime: bool = Field(
        default=False, description="Answer at real-time priority, where the system allows it"
    )
    drain_s: float = Field(
        default=5, ge=0, description="Time for the calls in flight to finish on shutdown"
    )

    @field_validator("max_sessions")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError(f"{value} is not a power of two; take {1 << value.bit_length()}")
        return value
