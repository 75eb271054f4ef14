"""Types of events: what each does to its session.

A new type takes two files: its value in ``session.proto``, and its row here. Everything else that
knows types follows `EVENT_TYPES`. This module imports no protobuf.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Effect(Enum):
    """What an event does to its session."""

    STEP = "step"
    """It is a step."""

    STRENGTHENS = "strengthens"
    """It strengthens the last step if that is of the same item, and is a step otherwise."""

    HIDES = "hides"
    """It takes the item out of this session's answers."""

    RATING = "rating"
    """By its value it counts as `LIKE` or as `DISLIKE`; in between, and without one, as a step."""


class EventType(NamedTuple):
    """A type that takes part in sessions.

    Of the events at one step, that of the greatest ``strength`` gives the step its type.
    """

    name: str
    effect: Effect
    strength: int = 0

    @property
    def enum_name(self) -> str:
        """Name of its value in the protobuf enum `EventType`."""
        return f"EVENT_TYPE_{self.name.upper()}"


LIKE, DISLIKE = "like", "dislike"
"""What a high and a low rating count as."""

EVENT_TYPES = (
    EventType("view", Effect.STEP),
    EventType("click", Effect.STEP),
    EventType("play", Effect.STEP),
    EventType("add_to_cart", Effect.STRENGTHENS, strength=1),
    EventType(LIKE, Effect.STRENGTHENS, strength=2),
    EventType("purchase", Effect.STRENGTHENS, strength=3),
    EventType("rating", Effect.RATING),
    EventType(DISLIKE, Effect.HIDES),
)
"""All of them, in the order of their numbers. Events of other names are counted, no more."""
