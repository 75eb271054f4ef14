"""What the clients return of profiles: plain values, no protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProfileItem:
    """An item of earlier sessions.

    Attributes
    ----------
    item_id
        The item.
    steps, sessions
        Steps on it, and sessions with it.
    type
        The strongest of its events, such as ``"purchase"``.
    last_timestamp_ms
        The last step on it.
    weight
        Its steps, each halved for every 30 days between it and the last one.
    """

    item_id: str
    steps: int
    sessions: int
    type: str
    last_timestamp_ms: int
    weight: float


@dataclass(frozen=True, slots=True)
class Profile:
    """What a user did in earlier sessions.

    Attributes
    ----------
    user_id
        The user.
    items
        Items of sessions that are over, the last one last; at most 50.
    purchased, liked, disliked
        Items with the milliseconds of the last time, the last one last.
    sessions, steps, repeated_steps
        Sessions that are over; their steps; those of them on an item of an earlier session.
    first_timestamp_ms, last_timestamp_ms
        First and last step of these sessions.
    categories, attributes
        Shares of the weights of ``items``, by what the catalogue says of these now: of each
        category, and of each attribute (``"brand=acme"``), largest first; at most 16.
    version
        Grows with every change.
    appended_ms
        When the last event that is in it arrived; milliseconds since 1970.
    """

    user_id: str
    items: tuple[ProfileItem, ...]
    purchased: Mapping[str, int]
    liked: Mapping[str, int]
    disliked: Mapping[str, int]
    sessions: int
    steps: int
    repeated_steps: int
    first_timestamp_ms: int
    last_timestamp_ms: int
    categories: Mapping[str, float]
    attributes: Mapping[str, float]
    version: int = 0
    appended_ms: int = 0
