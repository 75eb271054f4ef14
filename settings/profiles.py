"""Settings of profiles, for the job that keeps them and the store that holds them ready."""

from __future__ import annotations

from pydantic import Field

from nextclick.limits import PROFILE_LIFE_MS
from settings.base import Settings


class ProfileSettings(Settings):
    """How long the profile of a user lives."""

    profile_ttl_s: int = Field(
        default=PROFILE_LIFE_MS // 1_000,
        ge=1,
        le=PROFILE_LIFE_MS // 1_000,
        description="Seconds without an event until a user's profile expires",
    )

    @property
    def profile_life_ms(self) -> int:
        """The same in milliseconds."""
        return self.profile_ttl_s * 1_000
