"""What callers ask with: plain values, no protobuf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nextclick.context import Context

Similarity = Literal["behaviour", "content", "mix"]
"""By what items are neighbours; see `Similarity` in ``recommendation_service.proto``."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which items may be answered; see `ItemFilter` in ``recommendation_service.proto``.

    A ``condition`` is what `nextclick.conditions` makes: the fields of `Condition`, by name.
    """

    categories: Sequence[str] = ()
    excluded_item_ids: Sequence[str] = ()
    exclude_seen: bool = False
    exclude_purchased: bool = False
    include_unavailable: bool = False
    purchased_within_days: int = 0
    kinds: Sequence[str] = ()
    condition: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class RecommendRequest:
    """One visitor of a batch or a stream; the fields are the parameters of `Client.recommend`."""

    session_id: str = ""
    user_id: str = ""
    page_size: int = 0
    session_items: Sequence[str] = ()
    filter: Filter | None = None
    explain: bool = False
    context: Context | None = None
