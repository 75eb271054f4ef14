"""Requests and typed results, shared by the two clients."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from nextclick.codec import Event, event_faults
from nextclick.convert import event_to_proto
from nextclick.errors import FieldFault, InvalidRequestError
from nextclick.v1 import event_service_pb2 as events_pb
from nextclick.v1 import recommendation_service_pb2 as pb

MAX_EVENTS = 1_000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which items may be answered; see `ItemFilter` in the proto file."""

    categories: Sequence[str] = ()
    excluded_item_ids: Sequence[str] = ()
    exclude_seen: bool = False
    exclude_purchased: bool = False
    include_unavailable: bool = False

    def to_proto(self) -> pb.ItemFilter:
        """Return the message of the filter."""
        return pb.ItemFilter(**{f.name: getattr(self, f.name) for f in dataclasses.fields(self)})


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
    """An answer, best item first.

    ``source`` is ``"session"`` or ``"popular"``; ``degraded`` lists why the answer is not as
    good as it could be, e.g. ``"redis_unavailable"``; ``timings`` are microseconds by stage,
    only with ``explain``.
    """

    items: tuple[RecommendedItem, ...]
    recommendation_id: str = ""
    session_version: int = 0
    model_version: int = 0
    model_lag_ms: int = 0
    degraded: tuple[str, ...] = ()
    source: str = ""
    timings: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Ids of the items, best first."""
        return tuple(item.item_id for item in self.items)


@dataclass(frozen=True, slots=True)
class EventError:
    """An event that was not taken: its place in the call, all faults, whether to try again."""

    index: int
    message: str
    faults: tuple[FieldFault, ...]
    retryable: bool


@dataclass(frozen=True, slots=True)
class PutResult:
    """What became of the events of one call: accepted + len(errors) = their number."""

    accepted: int
    errors: tuple[EventError, ...]


def scored_items(items: Sequence[pb.ScoredItem]) -> tuple[RecommendedItem, ...]:
    """Return the typed items of an answer."""
    return tuple(
        RecommendedItem(
            item.item_id,
            item.score,
            tuple(Reason(r.source, r.share, tuple(r.because_item_ids)) for r in item.reasons),
        )
        for item in items
    )


def recommendation(response: pb.RecommendResponse) -> Recommendation:
    """Return the typed answer of a Recommend."""
    return Recommendation(
        items=scored_items(response.items),
        recommendation_id=response.recommendation_id,
        session_version=response.session_version,
        model_version=response.model_version,
        model_lag_ms=response.model_lag_ms,
        degraded=degraded(response.degraded),
        source=pb.AnswerSource.Name(response.source).removeprefix("ANSWER_SOURCE_").lower(),
        timings={t.stage: t.duration_us for t in response.timings},
    )


def degraded(reasons: Sequence[pb.DegradedReason]) -> tuple[str, ...]:
    """Return the names of degraded reasons, e.g. ``redis_unavailable``."""
    return tuple(
        pb.DegradedReason.Name(reason).removeprefix("DEGRADED_REASON_").lower()
        for reason in reasons
    )


class Batch:
    """Events of one `put_events` on their way: what is accepted, failed or to be sent again.

    Every event gets its event_id before the first attempt, so that all attempts carry the
    same one and the sessions job drops what arrives twice.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        if not 1 <= len(events) <= MAX_EVENTS:
            fault = FieldFault("events", f"send 1 to {MAX_EVENTS} a call, not {len(events)}")
            raise InvalidRequestError("bad batch", (fault,))
        self.accepted = 0
        self.errors: list[EventError] = []
        self._waiting: list[tuple[int, events_pb.Event]] = []
        for index, event in enumerate(events):
            named = event if event.event_id else dataclasses.replace(event, event_id=_new_id())
            faults = event_faults(named)
            if faults:
                listed = "; ".join(f"{f.field}: {f.description}" for f in faults)
                self.errors.append(EventError(index, listed, faults, retryable=False))
            else:
                self._waiting.append((index, event_to_proto(named)))

    def request(self) -> events_pb.PutEventsRequest | None:
        """Return the next attempt, None if nothing waits."""
        if not self._waiting:
            return None
        return events_pb.PutEventsRequest(events=[event for _, event in self._waiting])

    @staticmethod
    def worth_retrying(response: events_pb.PutEventsResponse) -> bool:
        """Whether any event of an attempt failed for a passing reason."""
        return any(error.retryable for error in response.errors)

    def take(self, response: events_pb.PutEventsResponse, *, last: bool) -> None:
        """Take the answer of an attempt; unless it is the last, passing failures wait on."""
        self.accepted += response.accepted
        again = []
        for error in response.errors:
            index, event = self._waiting[error.index]
            if error.retryable and not last:
                again.append((index, event))
            else:
                faults = tuple(FieldFault(f.field, f.description) for f in error.faults)
                self.errors.append(EventError(index, error.message, faults, error.retryable))
        self._waiting = again

    def result(self) -> PutResult:
        """Return what became of all events."""
        return PutResult(self.accepted, tuple(sorted(self.errors, key=lambda e: e.index)))


def _new_id() -> str:
    return uuid.uuid4().hex
