"""A replica: models, sessions and catalogue as a fold of the log, and where it stands in it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from nextclick.codec import InvalidEventError, Item, decode_item
from nextclick.v1.learning_pb2 import LearnerState
from nextclick.v1.scoreboard_pb2 import Score
from nextclick.v1.session_pb2 import SessionRecord
from online_models.engine import Engine
from records import item_vectors, ranker_weights
from records.errors import RecordError
from server import metrics
from server.replica import scoreboard
from server.replica.sessions import SessionTable

SLICE_S = 0.002
"""Longest hold of the replica for a slice of the log, while nobody asks."""

BUSY_SLICE_S, BUSY_PAUSE_S, BUSY_S = 0.000_25, 0.000_1, 0.1
"""The same, and the pause before it, for so long after a request.

The pause hands the interpreter's lock over: without it, requests beside a catch-up had a
p90 of 7 ms and a p99 of 11 to 20 ms, with it 1.3 and 2.5 ms (2 cores, one client).
"""


HeldVectors = tuple[str, NDArray[np.float32], NDArray[np.float32], Sequence[int]]
"""Item, its vectors, offsets of `sessions` that they have seen."""


class Replica:
    """The state that answers come from. Whoever reads or changes it holds `lock`.

    The log's side takes the lock in slices (`slice`) and lets waiting requests go first.
    One thread only, the follower's, changes what was learned.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sessions = SessionTable(engine)
        self.catalogue: dict[str, Item] = {}
        self.learners: dict[str, LearnerState] = {}
        self.scoreboard: dict[str, Score] = {}
        self.ranker_fits = True
        self.held: deque[HeldVectors] | None = None
        """Vectors that wait until as much of the log is applied here as they have seen."""
        self.positions: dict[tuple[str, int], int] = {}
        self.whole_log = False
        self.caught_up = False
        self.kafka_up = True
        self.lag_ms = 0
        self.lag_records = 0
        self._lock = threading.Lock()
        self._waiting = 0
        self._asked = 0.0

    def answering(self) -> Replica:
        """Hold the state for an answer: ``with replica.answering():``."""
        return self

    def __enter__(self) -> None:
        self._asked = time.perf_counter()
        self._waiting += 1
        self._lock.acquire()
        self._waiting -= 1

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @contextmanager
    def slice(self) -> Iterator[float]:
        """Hold the state for a slice of the log, after the requests that wait.

        Yields when the slice should end, on the clock of `time.perf_counter`.
        """
        busy = time.perf_counter() - self._asked < BUSY_S
        if busy:
            time.sleep(BUSY_PAUSE_S)
        while self._waiting > 0:
            time.sleep(0.00005)
        with self._lock:
            yield time.perf_counter() + (BUSY_SLICE_S if busy else SLICE_S)

    @property
    def definitive(self) -> bool:
        """Whether a session that is not in memory does not exist."""
        return self.caught_up and self.whole_log and self.sessions.evicted == 0

    def apply_session(self, key: bytes, value: bytes | None) -> None:
        """Apply a record of `sessions`; a tombstone erases the session."""
        if value is None:
            self.sessions.erase(key.decode(errors="replace"))
            return
        try:
            record = SessionRecord.FromString(value)
        except DecodeError:
            metrics.UNREADABLE.labels("sessions").inc()
            return
        if not record.session_id:
            metrics.UNREADABLE.labels("sessions").inc()
            return
        self.sessions.apply(record)

    def apply_vectors(self, key: bytes, value: bytes | None) -> None:
        """Apply a record of `vectors`; a tombstone: the item has none any more."""
        item_id = key.decode(errors="replace")
        if value is None:
            self.engine.drop_vectors(item_id)
            if self.held:
                left = [held for held in self.held if held[0] != item_id]
                self.held = deque(left, self.held.maxlen)
            return
        try:
            record = item_vectors.decode(value)
        except RecordError:
            metrics.UNREADABLE.labels("vectors").inc()
            return
        if self.held is not None:
            self.held.append((item_id, record.context, record.target, record.offsets))
        else:
            self.engine.put_vectors(item_id, record.context, record.target)

    def apply_learner(self, key: bytes, value: bytes | None) -> None:
        """Apply a record of `ranker`: where a learner stands and, the ranker's, its weights."""
        try:
            record = ranker_weights.decode(value or b"")
        except RecordError:
            metrics.UNREADABLE.labels("ranker").inc()
            return
        if record.weights is not None:
            self.engine.put_ranker(record.weights)
        if record.fits is not None:
            self.ranker_fits = record.fits
        self.learners[key.decode(errors="replace")] = record.state

    def apply_score(self, key: bytes, value: bytes | None) -> None:
        """Apply a record of `scoreboard`."""
        try:
            score = Score.FromString(value or b"")
        except DecodeError:
            metrics.UNREADABLE.labels("scoreboard").inc()
            return
        self.scoreboard[key.decode(errors="replace")] = score
        scoreboard.show(score)

    def apply_item(self, key: bytes, value: bytes | None) -> None:
        """Apply a record of `items`; a tombstone comes long after its deletion."""
        if value is None:
            self.catalogue.pop(key.decode(errors="replace"), None)
            return
        try:
            item = decode_item(value)
        except InvalidEventError:
            metrics.UNREADABLE.labels("items").inc()
            return
        if item.deleted:
            self.engine.delete_item(item.item_id)
            self.catalogue.pop(item.item_id, None)
        elif self.engine.put_item(
            item.item_id, item.available, item.categories, item.attributes, item.title
        ):
            self.catalogue[item.item_id] = item
        else:
            metrics.ITEMS_REFUSED.inc()
