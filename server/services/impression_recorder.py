"""Records answers as impressions, after the reply has been sent."""

from __future__ import annotations

import itertools
import logging
from collections import deque
from typing import NamedTuple

from nextclick.limits import SCORED_ITEMS
from nextclick.topics import event_key
from nextclick.v1 import recommendation_service_pb2 as pb
from nextclick.v1.impression_pb2 import Impression
from online_models.engine import Ranked
from server import metrics
from server.kafka.impressions import Impressions
from server.replica.replica import Replica
from server.services.replies import (
    IMPRESSION_ITEMS,
    IMPRESSION_SCORES,
    Names,
    packed_floats,
)
from server.stages import Untimed, clock_ns

log = logging.getLogger("nextclick.answers")


class Shown(NamedTuple):
    """An answer that has not been recorded yet."""

    response: pb.RecommendResponse
    ranked: Ranked
    session_id: str
    incarnation: int
    user_id: str
    appended: list[str]
    time_ms: int
    model: str
    asked: tuple[int, int]
    stages: Untimed


class ImpressionRecorder:
    """Collects answers and sends them to Kafka; one in ``shadow_sample`` is measured further."""

    def __init__(self, replica: Replica, impressions: Impressions, shadow_sample: int) -> None:
        self._replica = replica
        self._engine = replica.engine
        self._impressions = impressions
        self._shadow_sample = shadow_sample
        self._names = Names(self._engine, IMPRESSION_ITEMS)
        self._unsent: deque[Shown] = deque()
        self._turns = itertools.count(1)
        self.due = impressions.due
        self.note = self._unsent.append

    def send(self) -> None:
        """Record the answers since the last call; never raises."""
        while self._unsent:
            try:
                shown = self._unsent.popleft()
            except IndexError:
                return  # another thread was faster
            began_ns = clock_ns()
            try:
                with self._replica.answering():
                    impression = self._impression(shown)
                # For a visitor without a session, the record's key is the user's.
                self._impressions.put(impression, event_key(shown.session_id, shown.user_id))
            except Exception:
                names = {
                    "request": shown.response.recommendation_id,
                    "trace": shown.stages.trace_id,
                }
                log.exception("an impression was lost", extra=names)
                metrics.IMPRESSIONS_DROPPED.inc()
            shown.stages.apart("impression", began_ns)

    def _impression(self, shown: Shown) -> bytes:
        """Return the record of an answer; one in ``shadow_sample`` has further measures."""
        engine, response, ranked = self._engine, shown.response, shown.ranked
        impression = Impression(
            recommendation_id=response.recommendation_id,
            session_id=shown.session_id,
            session_version=response.session_version,
            session_incarnation=shown.incarnation,
            appended_item_ids=shown.appended,
            model_version=response.model_version,
            timestamp_ms=shown.time_ms,
            model=shown.model,
            known_items=len(engine.rows),
            policy=engine.policy.name if engine.policy is not None else "",
        )
        if ranked.propensities is not None:
            impression.propensities.extend(ranked.propensities.tolist())
        if self._shadow_sample and next(self._turns) % self._shadow_sample == 0:
            self._measure(impression, shown)
        return (
            impression.SerializeToString()
            + self._names.items(ranked.rows)
            + packed_floats(IMPRESSION_SCORES, ranked.scores[:SCORED_ITEMS])
        )

    def _measure(self, impression: Impression, shown: Shown) -> None:
        """Add an answer's diversity and popularity, and what other rankings would have answered."""
        engine, ids = self._engine, self._engine.ids
        rows = shown.ranked.rows[:SCORED_ITEMS]
        impression.diversity = engine.diversity(rows)
        impression.popularity = engine.popularity(rows)
        for model, other in engine.shadows(SCORED_ITEMS, shown.asked):
            impression.shadows.add(
                model=model,
                item_ids=[ids[row] for row in other.rows.tolist()],
                scores=other.scores.tolist(),
                diversity=engine.diversity(other.rows),
                popularity=engine.popularity(other.rows),
            )
