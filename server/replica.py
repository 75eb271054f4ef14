"""A replica: models, sessions and catalogue as a fold of the log, and where it stands in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from google.protobuf.message import DecodeError

from nextclick.codec import InvalidEventError, Item, decode_item
from nextclick.v1.session_pb2 import SessionRecord
from online_models.engine import Engine
from server import metrics
from server.sessions import SessionTable


class Replica:
    """The state that answers come from. Whoever reads or changes it holds `lock`.

    The log's side takes the lock in slices (`slice`) and lets waiting requests go first.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sessions = SessionTable(engine)
        self.catalogue: dict[str, Item] = {}
        self.positions: dict[tuple[str, int], int] = {}
        self.whole_log = False
        self.caught_up = False
        self.kafka_up = True
        self.lag_ms = 0
        self.lag_records = 0
        self._lock = threading.Lock()
        self._waiting = 0

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Hold the state for an answer."""
        self._waiting += 1
        self._lock.acquire()
        self._waiting -= 1
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def slice(self) -> Iterator[None]:
        """Hold the state for a slice of the log, after the requests that wait."""
        while self._waiting > 0:
            time.sleep(0.00005)
        with self._lock:
            yield

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
        self.sessions.apply(record)

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
        elif self.engine.put_item(item.item_id, item.available, item.categories):
            self.catalogue[item.item_id] = item
        else:
            metrics.ITEMS_REFUSED.inc()
