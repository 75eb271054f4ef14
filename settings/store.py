"""Settings of the session store."""

from __future__ import annotations

from pydantic import Field

from settings.base import DAY_S
from settings.listeners import ListenerSettings
from settings.profiles import ProfileSettings


class StoreSettings(ListenerSettings, ProfileSettings):
    """Settings of the session store."""

    session_expiry_s: int = Field(
        default=30 * DAY_S,
        gt=0,
        le=10 * 365 * DAY_S,
        description="Seconds until an idle session expires in Redis",
    )
    store_batch: int = Field(
        default=1_000, gt=0, le=10_000, description="The most records in one pipelined write"
    )
    store_host: str = Field(default="127.0.0.1", description="Address that the metrics listen on")
    store_http_port: int = Field(
        default=0, ge=0, le=65535, description="Port of the metrics; 0: none"
    )
