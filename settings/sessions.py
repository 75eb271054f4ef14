"""Settings of sessions, for those that keep their state and those that judge what it takes."""

from __future__ import annotations

from pydantic import Field

from nextclick.limits import SESSION_LIFE_MS
from settings.base import DAY_S, Settings


class SessionSettings(Settings):
    """How long the state of a session lives."""

    state_ttl_s: int = Field(
        default=SESSION_LIFE_MS // 1_000,
        ge=1,
        le=10 * 365 * DAY_S,
        description="Seconds without an event until a session's state expires",
    )

    @property
    def session_life_ms(self) -> int:
        """The same in milliseconds."""
        return self.state_ttl_s * 1_000
