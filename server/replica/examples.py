"""Examples for the ranker: a sampled click with its candidates, taken before it is learned.

The emitter keeps pace with the learners: if the examples of a history were far ahead of the
vectors, the ranker would learn to ignore these. Conversely, vectors are held until all clicks that
they were learned from are applied here (`held_vectors`): training must not use later clicks. In
live traffic, the two are milliseconds apart.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import blake2b

from confluent_kafka import KafkaException, Producer

from nextclick.topics import EXAMPLES, PRODUCER_CONFIG, RANKER_MODEL, SESSIONS, VECTORS_MODEL, topic
from records import example
from records.session_life import Applied
from server import metrics
from server.replica.replica import Replica, Role
from settings.server import ServerSettings

PAUSE_BEHIND, RESUME_BEHIND = 1_500, 500
"""Reading pauses once a learner is more than the first number of clicks or examples behind, and
resumes when it is within the second."""

PATIENCE_S = 10.0
"""A learner that has made no progress for this long is no longer waited for."""

LATE_MS, IN_TIME_MS = 120_000, 10_000
"""With a lag above the first, the number of examples is halved; below the second, it is doubled, up
to what is set."""


def draw(session_id: str, click: Applied) -> float:
    """Return a click's number for sampling, in [0, 1).

    The same for every emitter, and at every repetition: all take the same clicks, so that none is
    learned from only because there are several.
    """
    name = f"{session_id}#{click.incarnation}.{click.version}"
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little") / 2**64


@dataclass(slots=True)
class Pace:
    """How far a learner is behind its input, not counting what it had missed at the start."""

    applied: int = 0
    offset: int = 0
    moved: float = 0.0

    def behind(self, given: int, applied: int, now: float) -> int:
        """Return how many records the learner is behind; 0 if it makes no progress."""
        if applied != self.applied:
            self.applied, self.moved = applied, now
        distance = given - applied
        if now - self.moved > PATIENCE_S:
            self.offset = distance
        self.offset = min(self.offset, distance)
        return distance - self.offset


class ExampleEmitter:
    """Takes examples from a replica and hands them to a producer; drops them if it is full.

    Parameters
    ----------
    replica
        A replica with `Role.EMITTER`; `take` gets its clicks before they are learned.
    settings
        Kafka, tenant and sample.

    Raises
    ------
    ValueError
        If the replica has another role.
    """

    def __init__(self, replica: Replica, settings: ServerSettings) -> None:
        if replica.role is not Role.EMITTER:
            raise ValueError(
                "only an emitter may emit examples: a server's vectors may contain later clicks"
            )
        replica.before_learning(self.take)
        self._replica = replica
        self._sample = max(settings.sample, 1)
        self.thinning = 1
        """One in this many sampled clicks becomes an example; above 1 while the lag is large."""
        self.emitted = 0
        self._sessions = topic(SESSIONS, settings.tenant)
        self._topic = topic(EXAMPLES, settings.tenant)
        self._paces = {VECTORS_MODEL: Pace(), RANKER_MODEL: Pace()}
        self._paused = False
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

    def take(self, session_id: str, click: Applied, number: int, item_id: str) -> None:
        """Emit the example of a click that is about to be learned, if it is sampled."""
        if draw(session_id, click) * self._sample * self.thinning >= 1:
            return
        case = self._replica.engine.example(number, item_id)
        if case is None:
            return
        value = example.encode(example.Example(session_id, click, case.features, case.target))
        try:
            self._producer.produce(self._topic, value, session_id)
        except (BufferError, KafkaException):
            metrics.EXAMPLES_DROPPED.inc()
            return
        self.emitted += 1
        metrics.EXAMPLES.inc()

    def keep_pace(self) -> bool:
        """Return whether reading clicks must pause because the learners are behind.

        Called between two polls of the log; applies the held vectors that are due.
        """
        self._producer.poll(0)
        self._replica.release_vectors(self._sessions)
        now = time.monotonic()
        given = {VECTORS_MODEL: self._replica.engine.clicks, RANKER_MODEL: self.emitted}
        most = 0  # an example that another emitter, or a run before, has emitted counts as well
        for model, pace in self._paces.items():
            state = self._replica.learners.get(model)
            if state is not None:
                read = state.applied + state.repetitions
                most = max(most, pace.behind(given[model], read, now))
        self._paused = most > (RESUME_BEHIND if self._paused else PAUSE_BEHIND)
        self._adapt_thinning(now)
        return self._paused

    def _adapt_thinning(self, now: float) -> None:
        """Take fewer examples while the lag is large, more once it is small again."""
        if now - self._changed < LATE_MS / 2_000:
            return
        if self._replica.click_lag_ms > LATE_MS and self.thinning < 64:
            self.thinning *= 2
        elif self._replica.click_lag_ms < IN_TIME_MS and self.thinning > 1:
            self.thinning //= 2
        else:
            return
        self._changed = now

    def close(self) -> None:
        """Flush the examples that have not been sent."""
        self._producer.flush(5)
