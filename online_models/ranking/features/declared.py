"""All features by what they describe: the rankings', and those of sessions, items and users.

A family of the rankings is listed in `registry.FAMILIES`; a group of an entity here, by one line.
"""

from __future__ import annotations

from online_models.memory.names import unique
from online_models.ranking.features import of_items, of_sessions, of_users
from online_models.ranking.features.entity import Group
from online_models.ranking.features.feature import Entity, Feature
from online_models.ranking.features.registry import FEATURES

GROUPS: dict[Entity, tuple[Group, ...]] = {
    Entity.SESSION: (of_sessions.GROUP,),
    Entity.ITEM: (of_items.GROUP,),
    Entity.USER: (of_users.GROUP,),
}
"""What each entity has beside the rankings' features."""

DECLARED: tuple[Feature, ...] = (
    *FEATURES,
    *(feature for groups in GROUPS.values() for group in groups for feature in group.features),
)
BY_NAME = dict(zip(unique("features", (f.name for f in DECLARED)), DECLARED, strict=True))
"""Every feature, the rankings' first, in the order of their schema."""


def features_of(entity: Entity) -> tuple[Feature, ...]:
    """Return the features that describe an entity; a candidate has all of the rankings'."""
    if entity is Entity.CANDIDATE:
        return FEATURES
    return tuple(feature for feature in DECLARED if feature.entity is entity)
