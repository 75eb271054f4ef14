"""Settings of the Flink jobs; brokers and tenant are arguments of each job."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nextclick.limits import SESSION_LIFE_MS
from settings.base import DAY_S, Settings

StateBackend = Literal["heap", "rocksdb"]
"""Where a job keeps its state: in the JVM's heap, or in RocksDB on the local disk."""


class JobSettings(Settings):
    """Settings of the Flink jobs, read when a job is submitted."""

    state_ttl_s: int = Field(
        default=SESSION_LIFE_MS // 1_000,
        ge=1,
        le=10 * 365 * DAY_S,
        description="Seconds without an event until a session's state expires",
    )
    state_backend: StateBackend = Field(
        default="heap",
        description="Where jobs keep their state: heap, or rocksdb with incremental checkpoints",
    )
