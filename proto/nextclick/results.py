"""What the clients take and give: plain values, no protobuf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nextclick.codec import Event
from nextclick.errors import FieldFault


@dataclass(frozen=True, slots=True)
class Filter:
    """Which items may be answered; see `ItemFilter` in ``recommendation_service.proto``."""

    categories: Sequence[str] = ()
    excluded_item_ids: Sequence[str] = ()
    exclude_seen: bool = False
    exclude_purchased: bool = False
    include_unavailable: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an item is in an answer: source, share of the score 0..1, items that speak for it."""

    source: str
    share: float
    because_item_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecommendedItem:
    """One item of an answer; scores are comparable within one answer only."""

    item_id: str
    score: float
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Recommendation:
    """An answer, best item first. What a call does not answer keeps its default.

    ``recommendation_id`` goes back on events that follow from the answer. ``source`` is
    ``"session"`` or ``"popular"``. ``degraded`` lists why the answer is not as good as it could
    be, e.g. ``"redis_unavailable"``. ``timings`` are microseconds by stage, with ``explain``.
    """

    items: tuple[RecommendedItem, ...]
    recommendation_id: str = ""
    session_version: int = 0
    model_version: int = 0
    model_lag_ms: int = 0
    degraded: tuple[str, ...] = ()
    source: str = ""
    timings: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Ids of the items, best first."""
        return tuple(item.item_id for item in self.items)


@dataclass(frozen=True, slots=True)
class EventError:
    """An event that was not taken.

    ``index`` is its place in the call. ``event`` is as it was sent, its event_id included: where
    ``retryable``, send this one again later and it cannot count twice. ``faults`` is empty if
    the broker did not acknowledge it.
    """

    index: int
    event: Event
    message: str
    faults: tuple[FieldFault, ...]
    retryable: bool


@dataclass(frozen=True, slots=True)
class PutResult:
    """What became of the events of one call: accepted + len(errors) = their number."""

    accepted: int
    errors: tuple[EventError, ...]
