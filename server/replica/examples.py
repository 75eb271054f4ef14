"""Examples for the ranker: a sampled click as a case, taken before it is learned.

Who emits them goes at the pace of the learners that it feeds: examples of a history that run
far ahead of the vectors would teach the ranker to do without them. The other way round, vectors
wait until all clicks that they have seen are applied here: else they would know the click that a
case asks for. In live traffic both are milliseconds apart.
"""

from __future__ import annotations

import random
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
from confluent_kafka import KafkaException, Producer

from nextclick.topics import EXAMPLES, PRODUCER_CONFIG, RANKER_MODEL, SESSIONS, VECTORS_MODEL, topic
from nextclick.v1.learning_pb2 import Example
from online_models import engine
from online_models.ranking.features import SCHEMA
from server import metrics
from server.replica.replica import Replica
from settings.server import ServerSettings

AHEAD, NEAR = 1_500, 500
"""Clicks or examples that a learner may be behind before it is waited for, and until when."""

PATIENCE_S = 10.0
"""A learner that has not moved for so long is waited for no more."""

LATE_MS, IN_TIME_MS = 120_000, 10_000
"""Behind by so much, half as many examples are taken; back in time, as many as set."""

MOST_HELD = 500_000
"""Vectors that wait at most; the oldest make room."""

LARGEST_HALF = 60_000.0


@dataclass(slots=True)
class Pace:
    """How far a learner is behind what it was given, less what was there at the start."""

    applied: int = 0
    offset: int = 0
    moved: float = 0.0

    def behind(self, given: int, applied: int, now: float) -> int:
        """Return how many are to be waited for; 0 if the learner stands still."""
        if applied != self.applied:
            self.applied, self.moved = applied, now
        distance = given - applied
        if now - self.moved > PATIENCE_S:
            self.offset = distance
        self.offset = min(self.offset, distance)
        return distance - self.offset


def encode(case: engine.Example, session_id: str, seq: int) -> bytes:
    """Return the record of a case on `examples`."""
    halves = np.clip(case.features, -LARGEST_HALF, LARGEST_HALF).astype("<f2")
    return Example(
        feature_schema=SCHEMA,
        session_id=session_id,
        seq=seq,
        item_ids=case.item_ids,
        features=halves.tobytes(),
        target=case.target + 1,
    ).SerializeToString()


class Examples:
    """Takes examples from a replica and hands them to a producer; drops them if it is full."""

    def __init__(self, replica: Replica, settings: ServerSettings) -> None:
        self._replica = replica
        self._sample = max(settings.sample, 1)
        self.thinning = 1
        """Of those that `sample` would take, one in so many is: more than 1 when behind."""
        self.emitted = 0
        self._random = random.Random(settings.tenant)
        self._sessions = topic(SESSIONS, settings.tenant)
        replica.held = deque(maxlen=MOST_HELD)
        self._topic = topic(EXAMPLES, settings.tenant)
        self._paces = {VECTORS_MODEL: Pace(), RANKER_MODEL: Pace()}
        self._waiting = False
        self._changed = 0.0
        self._producer = Producer(
            {
                **PRODUCER_CONFIG,
                "bootstrap.servers": settings.kafka,
                "queue.buffering.max.messages": 5_000,
                "linger.ms": 20,
                "delivery.report.only.error": True,
                "log_level": 2,
            }
        )

    def take(self, session_id: str, seq: int, number: int, item_id: str) -> None:
        """Take the case that a click is about to make, if it is its turn."""
        if self._random.random() * self._sample * self.thinning >= 1:
            return
        case = self._replica.engine.example(number, item_id)
        if case is None:
            return
        try:
            self._producer.produce(self._topic, encode(case, session_id, seq), session_id)
        except (BufferError, KafkaException):
            metrics.EXAMPLES_DROPPED.inc()
            return
        self.emitted += 1
        metrics.EXAMPLES.inc()

    def ahead(self) -> bool:
        """Whether the learners are to be waited for; called between two polls of the log."""
        self._producer.poll(0)
        self._release()
        now = time.monotonic()
        given = {VECTORS_MODEL: self._replica.engine.clicks, RANKER_MODEL: self.emitted}
        most = 0
        for model, pace in self._paces.items():
            state = self._replica.learners.get(model)
            if state is not None:
                most = max(most, pace.behind(given[model], state.applied, now))
        self._waiting = most > (NEAR if self._waiting else AHEAD)
        self._adapt(now)
        return self._waiting

    def _release(self) -> None:
        """Take over the vectors that have seen no click that is still to come here."""
        held, engine = self._replica.held, self._replica.engine
        positions = self._replica.positions
        while held:
            item_id, read, wanted, offsets = held[0]
            for partition, offset in enumerate(offsets):
                if positions.get((self._sessions, partition), 0) < offset:
                    return
            engine.put_vectors(item_id, read, wanted)
            held.popleft()

    def _adapt(self, now: float) -> None:
        """Take fewer examples while the log runs away, as many as set once it does not."""
        if now - self._changed < LATE_MS / 2_000:
            return
        if self._replica.lag_ms > LATE_MS and self.thinning < 64:
            self.thinning *= 2
        elif self._replica.lag_ms < IN_TIME_MS and self.thinning > 1:
            self.thinning //= 2
        else:
            return
        self._changed = now

    def close(self) -> None:
        """Give what waits a moment to go out."""
        self._producer.flush(5)
