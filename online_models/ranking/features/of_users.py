"""Features of a user: what earlier sessions say, as the user's profile has it."""

from __future__ import annotations

from collections.abc import Sequence

from online_models.ranking.features.entity import Group, UserFacts, Value
from online_models.ranking.features.feature import Entity, Feature
from online_models.ranking.features.origins import PROFILE

DAY_MS = 86_400_000


def _feature(name: str, meaning: str, unit: str) -> Feature:
    return Feature(name, "user", meaning, unit, PROFILE, entity=Entity.USER)


def _values(user: UserFacts) -> Sequence[Value]:
    profile = user.profile

    def days_since(timestamp_ms: int) -> float | None:
        return max(user.now_ms - timestamp_ms, 0) / DAY_MS if timestamp_ms else None

    return (
        profile.sessions,
        profile.steps,
        profile.repeated_steps / profile.steps if profile.steps else None,
        len(profile.items),
        len(profile.purchased),
        len(profile.liked),
        len(profile.disliked),
        days_since(profile.first_timestamp_ms),
        days_since(profile.last_timestamp_ms),
    )


GROUP = Group(
    (
        _feature("user_sessions", "sessions that are over", "sessions"),
        _feature("user_steps", "their steps", "steps"),
        _feature("user_repeats", "share of them on items of sessions before", "share 0..1"),
        _feature("user_items", "items of them that are kept, at most 50", "items"),
        _feature("user_purchases", "purchases that are kept, at most 100", "items"),
        _feature("user_likes", "likes that are kept, at most 50", "items"),
        _feature("user_dislikes", "dislikes that are kept, at most 50", "items"),
        _feature("user_known_for", "time since the first step", "days"),
        _feature("user_away_for", "time since the last step of a session that is over", "days"),
    ),
    _values,
)
