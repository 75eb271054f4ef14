"""Features of sessions, items and users: what `GetFeatures` says of them beside the rankings'.

The rankings do not read them. Each group computes its values itself, from what it is given; one
that is not known is None, and is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from online_models.memory.state import State
from online_models.ranking.features.feature import Feature

Value = float | Sequence[str] | None
"""A number, or the texts of a feature whose unit is ``names``; None: not known."""


@dataclass(frozen=True)
class Group:
    """Features of one entity that are computed together; list it in `declared.py`.

    Parameters
    ----------
    features
        In the order of their values.
    values
        Returns the values for what is asked about: `SessionFacts`, `ItemFacts` or `UserFacts`.
    """

    features: tuple[Feature, ...]
    values: Callable[[Any], Sequence[Value]]


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What is known of a session.

    Attributes
    ----------
    items
        Its last items, oldest first, those of the request included; at most 50.
    version
        Changes of its stored session that are applied; 0: there is none.
    last_s
        Time of its last click, seconds since 1970; 0: unknown.
    now_ms
        The clock of whoever asks; milliseconds since 1970.
    purchased, hidden
        What it has bought and disliked.
    """

    items: Sequence[str]
    version: int
    last_s: int
    now_ms: int
    purchased: Sequence[str] = ()
    hidden: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What is known of an item: its row in the models, and its categories in the catalogue."""

    state: State
    row: int
    categories: Sequence[str] = ()


class Profile(Protocol):
    """What a user did in earlier sessions: the fields of the message of that name."""

    sessions: int
    steps: int
    repeated_steps: int
    first_timestamp_ms: int
    last_timestamp_ms: int

    @property
    def items(self) -> Sequence[Any]:
        """Items of earlier sessions."""

    @property
    def purchased(self) -> Sequence[Any]:
        """What was bought."""

    @property
    def liked(self) -> Sequence[Any]:
        """What was liked."""

    @property
    def disliked(self) -> Sequence[Any]:
        """What was disliked."""


@dataclass(frozen=True, slots=True)
class UserFacts:
    """A user's profile, and the clock of whoever asks, milliseconds since 1970."""

    profile: Profile
    now_ms: int
