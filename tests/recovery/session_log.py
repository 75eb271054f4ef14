"""The topic `sessions` in memory: what the session store has read of it is compared with it."""

import threading
from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace

import redis

from cli.stack.process import START_S, wait_until
from connections.redis import masters_of
from nextclick.topics import redis_session_key
from nextclick.v1.session_pb2 import SessionRecord
from settings.store import StoreSettings
from streaming import store


class Record:
    def __init__(self, partition, offset, key, value):
        self._fields = {"partition": partition, "offset": offset, "key": key, "value": value}

    def __getattr__(self, name):
        return lambda: self._fields[name]

    def error(self):
        return None

    def timestamp(self):
        return 2, 1


class SessionLog:
    """One partition of records; also the consumer that reads them."""

    def __init__(self):
        self.records, self._more, self._versions = [], threading.Condition(), Counter()
        self._at, self.reread = 0, 0
        """The next record; how many were read again."""

    def click(self, session_id, user_id=""):
        """Add a click to a session."""
        self._versions[session_id] += 1
        version = self._versions[session_id]
        record = SessionRecord(session_id=session_id, user_id=user_id, version=version)
        self._append(session_id, record.SerializeToString())

    def erase(self, session_id):
        """Add a tombstone."""
        self._append(session_id, None)

    def _append(self, session_id, value):
        with self._more:
            self.records.append(Record(0, len(self.records), session_id.encode(), value))
            self._more.notify()

    def newest(self):
        """The newest record of each session."""
        return {record.key().decode(): record.value() for record in self.records}

    # What the store asks of its consumer.

    def assign(self, parts):
        [part] = parts
        self.reread += max(self._at - part.offset, 0)
        self._at = part.offset

    def consume(self, most, timeout):
        with self._more:
            self._more.wait_for(lambda: self._at < len(self.records), timeout)
            out = self.records[self._at : self._at + most]
        self._at += len(out)
        return out

    def get_watermark_offsets(self, part, cached):
        return 0, len(self.records)

    def commit(self, offsets, asynchronous):
        pass

    def close(self):
        pass


@contextmanager
def stored(log, settings, monkeypatch):
    """A session store that reads a log into the Redis of some settings."""
    monkeypatch.setattr(store, "Consumer", lambda _: log)
    monkeypatch.setattr(store, "Admin", lambda _: SimpleNamespace(shortfall=lambda *_: ""))
    topic = store.TopicDescription("t", 1)
    monkeypatch.setattr(store.SessionStore, "_describe", lambda _: topic)
    running = store.SessionStore(StoreSettings(**settings.model_dump()))
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        yield
    finally:
        running.stop()
        thread.join()


def held(settings, session_ids):
    """What Redis has of sessions: each one's record."""
    masters = masters_of(settings, timeout_s=5, connect_timeout_s=5)
    masters.refresh()
    keys = [redis_session_key(session_id) for session_id in session_ids]
    replies = masters.send([(key, ("HGET", key, "record")) for key in keys])
    masters.close()
    return dict(zip(session_ids, replies, strict=True))


def wait_for_all(log, settings):
    """Wait until Redis has the newest record of every session of the log."""
    wait_until(lambda: _has_all(log, settings), START_S, "Redis as the log")


def _has_all(log, settings):
    newest = log.newest()
    try:
        return held(settings, list(newest)) == newest
    except redis.RedisError:
        return False
