"""Examples for the ranker: a sampled click with its candidates, taken before it is learned.

The emitter keeps pace with the learners: if the examples of a history were far ahead of the
vectors, the ranker would learn to ignore these. Conversely, vectors are held until all clicks that
they were learned from are applied here (`held_vectors`): training must not use later clicks. In
live traffic, the two are milliseconds apart.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException, Producer

from connections.kafka import client_config
from nextclick.topics import EXAMPLES, PRODUCER_CONFIG, RANKER_MODEL, SESSIONS, VECTORS_MODEL, topic
from nextclick.v1.session_pb2 import SessionRecord
from online_models.engine import Past
from records import example
from records.checksum import add_click
from records.session_life import Applied
from records.session_sample import SessionSample, unit_hash
from server import metrics
from server.replica.replica import Replica, Role
from settings.server import ServerSettings

PAUSE_BEHIND, RESUME_BEHIND = 1_500, 500
"""Reading pauses once a learner is more than the first number of clicks or examples behind, and
resumes when it is within the second."""

PATIENCE_S = 10.0
"""A learner that has made no progress for this long is no longer waited for."""


def draw(session_id: str, click: Applied) -> float:
    """Return a click's number for sampling, in [0, 1).

    The same for every emitter, and at every repetition: all take the same clicks, so that none is
    learned from only because there are several.
    """
    return unit_hash(f"{session_id}#{click.incarnation}.{click.version}")


@dataclass(slots=True)
class Pace:
    """How far a learner is behind an input, not counting what it had missed at the start."""

    read: int = 0
    offset: int = 0
    moved: float = 0.0

    def behind(self, distance: int, read: int, now: float) -> int:
        """Return how many records of ``distance`` count; 0 if the learner makes no progress."""
        if read != self.read:
            self.read, self.moved = read, now
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
        self.sessions = SessionSample()
        """Sessions whose clicks become examples: not all of them while the lag is large."""
        self.emitted = self.passed_over = self.passed_over_checksum = 0
        """Examples; sampled clicks of the other sessions, but first ones, and their checksum."""
        self._sessions = topic(SESSIONS, settings.tenant)
        self._topic = topic(EXAMPLES, settings.tenant)
        self._vectors_paces: dict[int, Pace] = defaultdict(Pace)
        """By partition of `sessions`: one that its learner never reads is not waited for."""
        self._ranker_pace = Pace()
        self._paused = False
        self._queue = metrics.PRODUCER_QUEUE.labels("examples")
        self._producer = Producer(
            {
                **client_config(settings),
                **PRODUCER_CONFIG,
                "queue.buffering.max.messages": 5_000,
                "linger.ms": 20,
                "delivery.report.only.error": True,
            }
        )

    def _past_of(self, record: SessionRecord, click: Applied) -> Past | None:
        """Return what the user of a session had done before it began, as a server asks for it.

        None where several users have signed in, and where the profile is newer than the click, as
        in a history that is read again. It tells of items only when they were clicked last: those
        that the session, or a later one, has clicked again would seem never to have been.
        """
        known = self._replica.profiles.get(record.user_id) if record.user_id else None
        if known is None or record.several_users or known.appended_ms > click.appended_ms:
            return None
        if self._replica.refuses_profile(record.user_id):
            return None
        return known.past(self._replica.engine.rows_of, record.first_timestamp_ms)

    def take(self, record: SessionRecord, click: Applied, number: int, item_id: str) -> None:
        """Emit the example of a click that is about to be learned, if it is sampled."""
        session_id = record.session_id
        taken = self.sessions.takes(session_id, click.incarnation)
        if draw(session_id, click) * self._sample >= 1:
            return
        if not taken:
            if click.version > 1:  # the first click of a session makes none, or one of a past
                self._pass_over(session_id, click.version)
            return
        case = self._replica.engine.example(number, item_id, self._past_of(record, click))
        if case is None:
            return
        ids = tuple(case.item_ids)
        value = example.encode(example.Example(session_id, click, case.features, case.target, ids))
        try:
            self._producer.produce(self._topic, value, session_id)
        except (BufferError, KafkaException):
            metrics.EXAMPLES_DROPPED.inc()
            return
        self.emitted += 1
        metrics.EXAMPLES.inc()

    def _pass_over(self, session_id: str, seq: int) -> None:
        metrics.EXAMPLES_PASSED_OVER.inc()
        self.passed_over += 1
        self.passed_over_checksum = add_click(self.passed_over_checksum, session_id, seq)

    def keep_pace(self) -> bool:
        """Return whether reading clicks must pause because the learners are behind.

        Called between two polls of the log; applies the held vectors that are due.
        """
        self._producer.poll(0)
        self._queue.set(len(self._producer))
        self._replica.release_vectors(self._sessions)
        now = time.monotonic()
        most = max(self._ahead_of_vectors(now), self._ahead_of_ranker(now))
        self._paused = most > (RESUME_BEHIND if self._paused else PAUSE_BEHIND)
        metrics.EMITTER_PAUSED.set(self._paused)
        self.sessions.adapt(self._replica.click_lag_ms, time.time_ns() // 1_000_000)
        return self._paused

    def _ahead_of_vectors(self, now: float) -> int:
        """Return how many records of `sessions` are applied here, but not by the learner."""
        state = self._replica.learners.get(VECTORS_MODEL)
        if state is None:
            return 0
        ahead = 0
        for (name, partition), position in self._replica.positions.items():
            if name == self._sessions:
                read = state.offsets[partition] if partition < len(state.offsets) else 0
                pace = self._vectors_paces[partition]
                ahead += pace.behind(max(position - read, 0), read, now)
        return ahead

    def _ahead_of_ranker(self, now: float) -> int:
        """Return how many examples are emitted, but not read by the learner.

        It has also read what another emitter, or a run before, has emitted: less than none is left
        then, and counts as none (`Pace`).
        """
        state = self._replica.learners.get(RANKER_MODEL)
        if state is None:
            return 0
        read = state.applied + state.repetitions
        return self._ranker_pace.behind(self.emitted - read, read, now)

    def describe(self) -> dict[str, Any]:
        """Return how far the emitter is as plain values, for ``/status``."""
        return {
            "emitted": self.emitted,
            "passed_over": self.passed_over,
            "passed_over_checksum": self.passed_over_checksum,
            "sampling": self.sessions.sampling,
        }

    def close(self) -> None:
        """Flush the examples that have not been sent."""
        self._producer.flush(5)
