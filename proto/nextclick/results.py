"""What the clients return: plain values, no protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nextclick.codec import Event
from nextclick.errors import FieldFault


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an item is in an answer.

    Attributes
    ----------
    source
        What named the item, such as ``"session-knn"`` or ``"popularity"``.
    share
        This source's share of the item's score, 0..1.
    because_item_ids
        Items of the session that speak for it, strongest first; at most 3.
    """

    source: str
    share: float
    because_item_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecommendedItem:
    """One item of an answer.

    Attributes
    ----------
    item_id
        The item.
    score
        Larger is better; comparable within one answer only.
    reasons
        With ``explain``, on the first 20 items: why the item is recommended, strongest reason
        first.
    next_click_probability
        With ``explain``, on the first 20 items: the probability that the visitor clicks the item
        next, calibrated on live clicks, 0..1. None for other items, and before any calibration.
    """

    item_id: str
    score: float
    reasons: tuple[Reason, ...] = ()
    next_click_probability: float | None = None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """An answer. Fields that a call does not answer keep their defaults.

    Attributes
    ----------
    items
        Best first.
    recommendation_id
        Names the answer; send it back on events that follow from it.
    session_version
        Version of the stored session that the answer is for; 0 if unknown.
    model_version
        Clicks that the models had learned when they answered.
    model_lag_ms
        How far the models are behind the log; milliseconds.
    degraded
        Why the answer is not as good as it could be, such as ``"redis_unavailable"``; empty at
        full quality.
    source
        ``"session"``, or ``"popular"`` where the session is empty or unknown.
    timings
        With ``explain``: microseconds by stage.
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

    Attributes
    ----------
    index
        Its place in the call, from 0.
    event
        The event as it was sent, its event_id included: where ``retryable``, send this one
        again later and it cannot count twice.
    message
        What went wrong, in one sentence for a log.
    faults
        All faults of the event; empty if the broker did not acknowledge it.
    retryable
        Whether sending it again can help.
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


@dataclass(frozen=True, slots=True)
class Model:
    """A model as the replica that answered has it.

    Attributes
    ----------
    name
        ``"blend"``, ``"vectors"`` or ``"ranker"``.
    version
        Grows with every change that the replica has taken over.
    examples
        Clicks (blend, vectors) or cases (ranker) that the model has learned.
    answering
        Whether its order is what visitors get.
    paused
        Whether its learning is paused.
    rolled_back_to
        The version that it was last rolled back to; 0 if never.
    kept_versions
        Versions that it can be rolled back to, oldest first.
    age_ms
        Milliseconds since its learner last published; None if it never has.
    hit_rate
        Running hit rate@20 on clicks before they were learned, 0..1; None if there is none.
    mrr
        The same for MRR@20.
    tenant
        Whose clicks it learns; empty: the replica serves no tenant.
    """

    name: str
    version: int
    examples: int
    answering: bool
    paused: bool
    rolled_back_to: int
    kept_versions: tuple[int, ...]
    age_ms: int | None
    hit_rate: float | None
    mrr: float | None
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Feature:
    """What a feature means, and where it comes from.

    Attributes
    ----------
    name
        Unique among all features.
    entity
        What it describes: ``"session"``, ``"item"``, ``"user"`` or ``"candidate"``.
    meaning
        What it says.
    unit
        Of its value; ``"names"``: it has texts.
    origin
        What it comes from, in a few words.
    topics
        Kafka topics that it is computed from.
    state
        What of the server's memory is read.
    freshness
        When its value changes.
    delay_ms
        How long after the event that changes it, at the latest, in ordinary live traffic.
    version
        Grows when it is computed in another way.
    in_ranker
        Whether the ranker reads it.
    part
        The group that ``nextclick bench frontier`` leaves it out with.
    feature_schema
        Hash of the names and versions of the ranker's features.
    """

    name: str
    entity: str
    meaning: str
    unit: str
    origin: str
    topics: tuple[str, ...]
    state: str
    freshness: str
    delay_ms: int
    version: int
    in_ranker: bool
    part: str
    feature_schema: str = ""


@dataclass(frozen=True, slots=True)
class FeatureVector:
    """Features of one session, user, item or candidate.

    Attributes
    ----------
    entity
        As `Feature.entity`.
    id
        Its id.
    known
        Whether it is known; a candidate: whether it is among those that the ranker orders.
    values
        By name: a number, or texts. What is not known is left out.
    """

    entity: str
    id: str
    known: bool
    values: Mapping[str, float | tuple[str, ...]] = field(hash=False)


@dataclass(frozen=True, slots=True)
class FeatureValues:
    """Values of features, as an answer would have read them.

    Attributes
    ----------
    vectors
        Of the session, of the user, of the items.
    model_version
        Clicks that the models had learned.
    timestamp_ms
        The server's clock.
    feature_schema
        As `Feature.feature_schema`.
    degraded
        As `Recommendation.degraded`.
    """

    vectors: tuple[FeatureVector, ...]
    model_version: int = 0
    timestamp_ms: int = 0
    feature_schema: str = ""
    degraded: tuple[str, ...] = ()
