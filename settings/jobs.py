"""Settings of the Flink jobs; brokers and tenant are arguments of each job."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from settings.profiles import ProfileSettings
from settings.sessions import SessionSettings

StateBackend = Literal["heap", "rocksdb"]
"""Where a job keeps its state: in the JVM's heap, or in RocksDB on the local disk."""


class JobSettings(ProfileSettings, SessionSettings):
    """Settings of the Flink jobs, read when a job is submitted."""

    job_states: str = Field(
        default="",
        description="URI of the folder of checkpoints and savepoints on a Flink of your own",
    )
    state_backend: StateBackend = Field(
        default="heap",
        description="Where jobs keep their state: heap, or rocksdb with incremental checkpoints",
    )

    @model_validator(mode="after")
    def _profiles_outlive_sessions(self) -> JobSettings:
        if self.profile_ttl_s < self.state_ttl_s:
            raise ValueError(
                f"NEXTCLICK_PROFILE_TTL_S: {self.profile_ttl_s} is less than "
                f"NEXTCLICK_STATE_TTL_S, {self.state_ttl_s}: an erased profile would come back "
                "from a session that has outlived it; raise the one or lower the other"
            )
        return self

    @field_validator("job_states")
    @classmethod
    def _uri_of_folder(cls, value: str) -> str:
        if value and not re.match(r"[a-z][a-z0-9+.-]*:/", value):
            raise ValueError("is no URI of a folder, such as s3://bucket/jobs or file:///mnt/jobs")
        return value
