"""The ledger of `demo` counts what became of every event."""

import pytest

from cli.live.ledger import Ledger
from nextclick.v1.session_pb2 import SessionRecord
from settings.kafka import KafkaSettings


class Message:
    """A record of `sessions`."""

    def __init__(self, key, offset, record):
        self._key, self._offset, self._record = key, offset, record

    def error(self):
        return None

    def topic(self):
        return "sessions"

    def partition(self):
        return 0

    def offset(self):
        return self._offset

    def key(self):
        return self._key

    def value(self):
        return self._record and self._record.SerializeToString()


@pytest.fixture
def ledger():
    with Ledger(KafkaSettings(kafka="127.0.0.1:1")) as ledger:
        yield ledger


def test_an_erased_session_keeps_its_count(ledger):
    """A tombstone ended `demo` with a traceback."""
    messages = [
        Message(b"s", 0, SessionRecord(session_id="s", applied=3, duplicates=1)),
        Message(b"s", 1, None),
        Message(b"t", 2, SessionRecord(session_id="t", applied=2)),
    ]
    before = ledger._consumer
    ledger._consumer = type("Consumer", (), {"consume": lambda *_: messages})()
    ledger.read()
    ledger._consumer = before
    assert (ledger.applied, ledger.duplicates, ledger.position) == (5, 1, 3)
