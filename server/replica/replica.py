"""A replica: models, sessions, catalogue and users built from the log, and its positions in it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

from numpy.typing import NDArray

from nextclick.codec import decode_item
from nextclick.limits import MAX_RANKINGS
from nextclick.topics import RANKER_MODEL, VECTORS_MODEL
from nextclick.users import decode_user
from nextclick.v1.learning_pb2 import LearnerState
from nextclick.v1.scoreboard_pb2 import Score
from online_models.engine import Engine
from records import item_vectors, ranker_weights
from records.errors import RecordError
from records.item_vectors import ItemVectors
from records.limited import decode_profile, decode_score, decode_session
from records.refused import RefusedRecords
from server import metrics
from server.replica import learners, scoreboard
from server.replica.catalogue_entries import CatalogueEntries
from server.replica.early_vectors import EarlyVectors
from server.replica.freshness import Freshness
from server.replica.held_vectors import HeldVector, HeldVectors
from server.replica.lag_meter import Lag
from server.replica.profiles import MOST_PROFILES, Profiles
from server.replica.sessions import BeforeLearning, SessionTable
from server.replica.users import MOST_USERS, UserStore

SLICE_S, BUSY_SLICE_S = 0.000_5, 0.000_25
"""How long a slice of the log holds the lock, up to a small record more, or a large one alone: with
that, 2 ms at most. The second while there are requests."""

CHANGES_AT_ONCE = 8
"""Items that open or close between two looks at the clock: some 0.1 ms."""

BUSY_PAUSE_S, BUSY_S = 0.000_1, 0.1
"""The pause before a slice while there are requests, and how long a request counts.

The pause releases the GIL: without it, requests during a catch-up had a p90 of 7 ms and a p99 of
11 to 20 ms, with it 1.3 and 2.5 ms (2 cores, one client).
"""


class Role(Enum):
    """What a process uses its replica for; its value is the process's name in `status`."""

    SERVER = "server"
    """Answers requests. Vectors are applied as soon as they arrive."""

    EMITTER = "emitter"
    """Emits examples for the ranker and answers no calls. Vectors are held until the clicks that
    they were learned from are applied here."""


class Replica:
    """The state that answers are computed from. To read or change it, hold its lock.

    Answers take the lock with `answering`, the log reader in slices (`slice`) that let waiting
    requests go first. Only one thread, the log reader's, changes what was learned. What applies a
    record raises `RecordError` or `InvalidEventError` for one that it cannot use, and then has
    changed nothing. A record may leave work for slices of its own, since it would hold the lock for
    too long: while `unsettled`, call `settle` before the next record.
    """

    def __init__(
        self,
        engine: Engine,
        role: Role = Role.SERVER,
        max_users: int = MOST_USERS,
        max_profiles: int = MOST_PROFILES,
    ) -> None:
        self.engine = engine
        self.role = role
        self.sessions = SessionTable(engine)
        self.catalogue = CatalogueEntries(engine)
        self.users = UserStore(max_users)
        self.profiles = Profiles(max_profiles)
        self.learners: dict[str, LearnerState] = {}
        self.scoreboard: dict[str, Score] = {}
        self.refused = RefusedRecords(
            lambda record: metrics.UNREADABLE.labels(record.topic, record.reason).inc()
        )
        self.kept_snapshots: dict[str, str] = {}
        """Snapshots that are kept aside, by name, and why."""
        self.ranker_fits = True
        self.positions: dict[tuple[str, int], int] = {}
        """The next offset of each partition of the log, by topic and partition."""
        self.topic_ids: dict[str, str] = {}
        """The broker's id of each topic that the positions are of."""
        self.whole_log = False
        self.caught_up = False
        self.kafka_up = True
        self.lags: dict[str, Lag] = {}
        """How far behind the log, by topic."""
        self.lag_ms = self.lag_records = 0
        """The longest of these times; the sum of the records."""
        self.freshness = Freshness()
        self.click_lag_ms = 0
        """The time of the clicks alone."""
        self._early = EarlyVectors()
        self._held = HeldVectors() if role is Role.EMITTER else None
        self._returned: deque[str] = deque()
        """Items that the last record gave a row, and of which something is kept."""
        self._lock = threading.Lock()
        self._waiting = 0
        self._asked = 0.0

    def answering(self) -> Replica:
        """Hold the lock for an answer: ``with replica.answering():``."""
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
        """Hold the lock for a slice of the log, once no request is waiting for it.

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

    @property
    def knows_profiles(self) -> bool:
        """Whether a user whose profile is not in memory has none."""
        return self.caught_up and self.profiles.left == 0

    def before_learning(self, call: BeforeLearning) -> None:
        """Call ``call`` before a click is learned, if it is the latest of its session."""
        self.sessions.before_learning = call

    def release_vectors(self, sessions_topic: str) -> None:
        """Apply the held vectors whose clicks have all been applied here."""
        if self._held is not None:
            positions = self.positions
            for held in self._held.release(lambda p: positions.get((sessions_topic, p), 0)):
                self._put_vectors(held.item_id, held.record, item_vectors.decode(held.record))

    def apply_session(self, key: bytes, value: bytes | None, arrived_ms: int | None = None) -> None:
        """Apply a record of `sessions` and its time of arrival; a tombstone erases the session."""
        if value is None:
            self.sessions.erase(key.decode(errors="replace"))
            return
        record = decode_session(value, arrived_ms)
        given = self.engine.given
        learned = self.sessions.apply(record)
        if learned and arrived_ms is not None:
            self.freshness.note(record.appended_ms, arrived_ms)
        if self.engine.given != given:
            self._returned += [
                item_id
                for item_id in learned
                if item_id in self._early or self.catalogue.keeps(item_id)
            ]

    def apply_profile(self, key: bytes, value: bytes | None, arrived_ms: int | None = None) -> None:
        """Apply a record of `profiles` and its time of arrival; a tombstone erases the profile."""
        user_id = key.decode(errors="replace")
        if value is None:
            self._erase_profile(user_id)
            return
        profile = decode_profile(value, arrived_ms)
        if profile.user_id != user_id:
            raise RecordError("user_id", "is not the record's key")
        self.profiles.put(profile, value)

    def _erase_profile(self, user_id: str) -> None:
        """Erase a profile; Redis, which may still have it for a moment, is not asked then."""
        self.profiles.remove(user_id)
        if self.caught_up:
            self.profiles.note_erased(user_id)

    def refuses_profile(self, user_id: str) -> bool:
        """Whether a user is known to refuse a profile: then none may be used."""
        user = self.users.get(user_id)
        return user is not None and not user.consent

    @property
    def held_vectors(self) -> int:
        """How many vectors are held until their clicks are applied here."""
        return 0 if self._held is None else len(self._held)

    @property
    def unsettled(self) -> bool:
        """Whether the last record has left work."""
        over = self.catalogue.over or self.users.over or self.profiles.over
        return bool(self._returned) or over

    def settle(self) -> None:
        """Do a small part of the work that the last record has left."""
        if self._returned:
            item_id = self._returned.popleft()
            self.catalogue.put_again(item_id)
            self._put_early(item_id)
        elif self.catalogue.over:
            self.catalogue.drop_oldest()
        else:
            self.users.drop_oldest()
            self.profiles.drop_oldest()

    def apply_vectors(self, key: bytes, value: bytes | None) -> None:
        """Apply a record of `vectors`; a tombstone removes the item's vectors."""
        item_id = key.decode(errors="replace")
        if value is None:
            self.engine.drop_vectors(item_id)
            self._early.take(item_id)
            if self._held is not None:
                self._held.drop(item_id)
            return
        vectors = item_vectors.decode(value)
        if self._held is not None:
            self._held.hold(HeldVector(item_id, value, vectors.offsets))
        else:
            self._put_vectors(item_id, value, vectors)

    def _put_vectors(self, item_id: str, record: bytes, vectors: ItemVectors) -> None:
        if not self.engine.put_vectors(item_id, vectors.context, vectors.target):
            self._early.keep(item_id, record)

    def _put_early(self, item_id: str) -> None:
        """Apply the vectors of an item that came before it had a row, if it has one now."""
        if item_id in self._early and self.engine.row(item_id):
            record = self._early.take(item_id)
            assert record is not None
            vectors = item_vectors.decode(record)
            self.engine.put_vectors(item_id, vectors.context, vectors.target)

    def apply_row(
        self,
        key: bytes,
        value: bytes | None,
        table: str,
        decode: Callable[[bytes], NDArray[Any]],
    ) -> None:
        """Apply a record that is an item's row of a table; a tombstone clears the row.

        ``decode`` raises `RecordError` for what it cannot read, and returns one entry of the table.
        """
        values = None if value is None else decode(value)
        try:
            self.engine.put_row(table, key.decode(errors="replace"), values)
        except ValueError as e:
            raise RecordError("record", str(e)) from e

    def apply_learner(self, key: bytes, value: bytes | None) -> None:
        """Apply a record of `ranker`: the progress of a learner, and the ranker's weights."""
        model = key.decode(errors="replace")
        if model not in (VECTORS_MODEL, RANKER_MODEL):
            raise RecordError("key", "is the name of no learner")
        record = ranker_weights.decode(value or b"")
        if record.weights is not None:
            self.engine.put_ranker(record.weights)
        if record.fits is not None:
            self.ranker_fits = record.fits
        self.learners[model] = record.state
        learners.show(model, record.state)

    def apply_score(self, key: bytes, value: bytes | None) -> None:
        """Apply a record of `scoreboard`."""
        score = decode_score(value or b"")
        model = key.decode(errors="replace")
        if score.model != model:
            raise RecordError("model", "is not the record's key")
        if model not in self.scoreboard and len(self.scoreboard) >= MAX_RANKINGS:
            raise RecordError("key", f"is one ranking more than {MAX_RANKINGS}")
        self.scoreboard[model] = score
        scoreboard.show(score)

    def apply_item(self, key: bytes, value: bytes | None) -> None:
        """Apply a record of `items`; a tombstone follows long after the deletion."""
        if value is None:
            self.catalogue.remove(key.decode(errors="replace"))
            return
        item = decode_item(value)
        if item.deleted:
            self.engine.delete_item(item.item_id)
            self.catalogue.remove(item.item_id)
        elif self.catalogue.put(item):
            self._put_early(item.item_id)

    def apply_user(self, key: bytes, value: bytes | None, arrived_ms: int | None = None) -> None:
        """Apply a record of `users`; a tombstone follows long after the deletion.

        A profile that may not be used is erased at once, not only when the job has done so; of a
        user who was deleted, not one that has begun since the record arrived.
        """
        if value is None:
            self.users.remove(key.decode(errors="replace"))
            return
        user = decode_user(value)
        began_ms = self.profiles.began_ms(user.user_id)
        if not user.consent or (user.deleted and (arrived_ms is None or began_ms <= arrived_ms)):
            self._erase_profile(user.user_id)
        if user.deleted:
            self.users.remove(user.user_id)
        else:
            self.users.put(user)

    def pass_time(self, now_s: int, until: float) -> None:
        """Let items open and close whose time has come, until a time of `time.perf_counter`."""
        while self.engine.pass_time(now_s, CHANGES_AT_ONCE) and time.perf_counter() < until:
            pass

    def retry_items(self, until: float) -> None:
        """Find rows for catalogue items that wait for one, until a time of `time.perf_counter`."""
        while time.perf_counter() < until and (item_id := self.catalogue.retry()):
            self._put_early(item_id)
