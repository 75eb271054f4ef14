"""Features of a session beside those that the rankings read (`session_shape`, `times`)."""

from __future__ import annotations

from collections.abc import Sequence

from online_models.ranking.features.entity import Group, SessionFacts, Value
from online_models.ranking.features.feature import Entity, Feature, Origin
from online_models.ranking.features.origins import CLOCK, SESSION


def _feature(name: str, meaning: str, unit: str, origin: Origin = SESSION) -> Feature:
    return Feature(name, "session", meaning, unit, origin, entity=Entity.SESSION)


def _values(session: SessionFacts) -> Sequence[Value]:
    since_ms = session.now_ms - 1_000 * session.last_s
    return (
        len(session.items),
        len(set(session.items)),
        session.version,
        len(session.purchased),
        len(session.hidden),
        max(since_ms, 0) / 1_000 if session.last_s else None,
    )


GROUP = Group(
    (
        _feature("session_length", "its items that answers read, at most 50", "items"),
        _feature("session_items", "different ones among them", "items"),
        _feature("session_version", "changes of the stored session that are applied", "changes"),
        _feature("session_purchases", "items that it has bought", "items"),
        _feature("session_hidden", "items that it has disliked, at most 50", "items"),
        _feature("session_idle", "time since its last click", "seconds", CLOCK),
    ),
    _values,
)
