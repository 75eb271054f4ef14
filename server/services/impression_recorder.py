"""Records answers as impressions, after the reply has been sent."""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections import deque
from typing import NamedTuple

from nextclick.limits import MAX_IMPRESSION_BYTES, SCORED_ITEMS
from nextclick.topics import event_key
from nextclick.v1 import recommendation_service_pb2 as pb
from nextclick.v1.impression_pb2 import Impression
from online_models.engine import Ranked
from server import metrics
from server.kafka.impressions import Impressions
from server.replica.replica import Replica
from server.services.replies import (
    IMPRESSION_ITEMS,
    IMPRESSION_POOL,
    IMPRESSION_POOL_SCORES,
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
    """Collects answers and sends them to Kafka.

    Parameters
    ----------
    replica
        Whose answers they are.
    impressions
        Where they go.
    shadow_sample
        One in this many is measured further.
    pool_share
        Share of those that a policy drew that are recorded with what it chose from.
    """

    def __init__(
        self,
        replica: Replica,
        impressions: Impressions,
        shadow_sample: int,
        pool_share: float = 0.0,
    ) -> None:
        self._replica = replica
        self._engine = replica.engine
        self._impressions = impressions
        self._shadow_sample = shadow_sample
        self._pool_share = pool_share
        self._names = Names(self._engine, IMPRESSION_ITEMS)
        self._pool_names = Names(self._engine, IMPRESSION_POOL)
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
        record = (
            impression.SerializeToString()
            + self._names.items(ranked.rows)
            + packed_floats(IMPRESSION_SCORES, ranked.scores[:SCORED_ITEMS])
        )
        return record + self._pool(response.recommendation_id, ranked, len(record))

    def _pool(self, recommendation_id: str, ranked: Ranked, before: int) -> bytes:
        """Return the fields of what a policy chose from, of a sample of the answers that it drew.

        A pool that does not fit into the record is left out: part of one would tell of another
        policy. That depends on the length of ids alone, and not on what was drawn.
        """
        pool, share = ranked.pool, self._pool_share
        if pool is None or not in_sample(recommendation_id, share):
            return b""
        fields = (  # no ranking is longer than `MAX_POOL_ITEMS`
            self._pool_names.items(pool.rows)
            + packed_floats(IMPRESSION_POOL_SCORES, pool.scores)
            + Impression(inclusion_probability=share).SerializeToString()
        )
        return fields if before + len(fields) <= MAX_IMPRESSION_BYTES else b""

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


def in_sample(recommendation_id: str, share: float) -> bool:
    """Whether an answer is in a sample of a share, 0..1, of all, by the hash of its id.

    The first 8 bytes of BLAKE2b, as a number of big-endian, are below share * 2^64: so the sample
    of a lower share is part of that of a higher one.
    """
    digest = hashlib.blake2b(recommendation_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2.0**64
