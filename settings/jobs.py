"""Settings of the Flink jobs; brokers and tenant are arguments of each job."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from settings.sessions import SessionSettings

StateBackend = Literal["heap", "rocksdb"]
"""Where a job keeps its state: in the JVM's heap, or in RocksDB on the local disk."""


class JobSettings(SessionSettings):
    """Settings of the Flink jobs, read when a job is submitted."""

    state_backend: StateBackend = Field(
        default="heap",
        description="Where jobs keep their state: heap, or rocksdb with incremental checkpoints",
    )
