"""Settings of a replica of the log: a server, or the example emitter."""

from __future__ import annotations

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from settings.base import DAY_S
from settings.client import GrpcSettings
from settings.listeners import ListenerSettings
from settings.sessions import SessionSettings

MOST = 1 << 30
"""Rows and records: beyond it, 32 bits do not number them."""


class ServerSettings(GrpcSettings, ListenerSettings, SessionSettings):
    """Settings of one replica."""

    host: str = Field(default="127.0.0.1", description="Address that gRPC and HTTP listen on")
    share_port: bool = Field(
        default=False, description="Share the gRPC port with other processes; listen once ready"
    )
    http_port: int = Field(
        default=8080, ge=0, le=65535, description="Port of metrics and status; 0: none"
    )
    tls_client_ca_file: str = Field(
        default="",
        description="PEM file of the CAs of which gRPC's callers must have a certificate; empty: "
        "they need none",
    )
    data_dir: Path = Field(
        default=Path(".nextclick/server"),
        description="Folder of this replica's snapshots; unset, that of an emitter is "
        ".nextclick/emitter",
    )
    snapshot_interval_s: float = Field(
        default=600,
        ge=0,
        le=30 * DAY_S,
        description="Seconds between two snapshots; 0: only on shutdown",
    )
    max_items: int = Field(
        default=1 << 18, ge=1, le=MOST, description="The most items that the models hold"
    )
    max_sessions: int = Field(
        default=1 << 20, ge=1, le=MOST, description="Sessions that the models keep; a power of two"
    )
    emit_examples: bool = Field(
        default=False, description="Run as the example emitter, which answers no calls"
    )
    sample: int = Field(
        default=2, ge=1, le=MOST, description="One click in this many becomes an example"
    )
    shadow_sample: int = Field(
        default=4,
        ge=0,
        le=MOST,
        description="For one answer in this many, record the other rankings too; 0: none",
    )
    policy: str = Field(
        default="", description="Name of the policy that re-orders ranked items; empty: none"
    )
    pool_share: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Share of the answers that a policy drew that are recorded with what it chose "
        "from, for off-policy estimates",
    )
    history: int = Field(
        default=10_000_000,
        ge=1,
        le=1 << 40,
        description="The most records of `sessions` that are read without a snapshot",
    )
    redis_timeout_ms: int = Field(
        default=5, ge=1, le=60_000, description="Timeout of a read from Redis during a request"
    )
    max_waiting_puts: int = Field(
        default=120, ge=1, le=1_000, description="Calls that may wait for Kafka at the same time"
    )
    put_timeout_s: float = Field(
        default=10, gt=0, le=3_600, description="Longest wait for an acknowledgement from Kafka"
    )
    impressions_queue: int = Field(
        default=10_000,
        ge=1,
        le=10_000_000,
        description="Impressions that may wait for Kafka; more are dropped",
    )
    impressions_per_s: int = Field(
        default=500,
        ge=1,
        le=1_000_000,
        description="The most answers recorded per second, evenly spaced",
    )
    realtime: bool = Field(
        default=False, description="Answer at real-time priority, where the system allows it"
    )
    traces_url: str = Field(
        default="",
        description="URL of the OTLP receiver (HTTP) that traces of calls go to; empty: none",
    )
    traces_share: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Share of the calls that is traced, of those without a traced caller",
    )
    connection_age_s: float = Field(
        default=0,
        ge=0,
        le=30 * DAY_S,
        description="Age at which a client has to connect anew, to whichever replica; 0: none",
    )
    lame_duck_s: float = Field(
        default=0,
        ge=0,
        le=600,
        description="Time on shutdown in which health says NOT_SERVING and calls are answered",
    )
    drain_s: float = Field(
        default=5, ge=0, le=3_600, description="Time for the calls in flight to finish on shutdown"
    )

    @model_validator(mode="after")
    def _own_folder(self) -> Self:
        if self.emit_examples and "data_dir" not in self.model_fields_set:
            self.data_dir = Path(".nextclick/emitter")
        return self

    @model_validator(mode="after")
    def _certificate_for_callers_too(self) -> Self:
        if self.tls_client_ca_file and not self.tls_certificate_file:
            raise ValueError(
                "NEXTCLICK_TLS_CLIENT_CA_FILE needs NEXTCLICK_TLS_CERTIFICATE_FILE: without it, "
                "connections are plain"
            )
        return self

    @field_validator("traces_url")
    @classmethod
    def _url_of_receiver(cls, value: str) -> str:
        url = urlsplit(value)
        if value and (url.scheme not in ("http", "https") or len(url.path) < 2):
            raise ValueError("is no URL such as http://collector:4318/v1/traces")
        return value

    @field_validator("max_sessions")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError(f"{value} is not a power of two; take {1 << value.bit_length()}")
        return value
