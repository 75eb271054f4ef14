"""Where the last records of a compacted log begin: counted, since offsets do not tell."""

import threading

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from server.replica import history
from server.replica.history import start_of_last

PART = TopicPartition("sessions", 0)


class Message:
    def __init__(self, offset, error=None):
        self.offset, self.error = lambda: offset, lambda: error


class Log:
    """A consumer of one partition, most of whose offsets are gone; counts what is read."""

    def __init__(self, offsets, high):
        self.offsets, self.high = offsets, high
        self.at, self.read, self.failure = 0, 0, None

    def assign(self, parts):
        self.at = parts[0].offset

    def consume(self, n, timeout):
        if self.failure:
            return [Message(-1, self.failure)]
        found = [offset for offset in self.offsets if offset >= self.at][: min(n, 7)]
        self.read += len(found)
        if found:
            self.at = found[-1] + 1
            return [Message(offset) for offset in found]
        return [Message(self.high, KafkaError(KafkaError._PARTITION_EOF))]


def begin(log, most, low=0):
    return start_of_last(log, PART, low, log.high, most, threading.Event())


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(history, "WINDOW", 10)


def test_records_are_counted_and_not_offsets():
    """Of a million offsets a thousand records may be left: nearly all of them were passed over."""
    log = Log([*range(0, 1_000, 100), 1_500, 1_900, 2_000], 2_001)
    assert 900 < begin(log, 3) <= 1_500
    assert 0 < begin(log, 12) <= 100
    assert begin(log, 13) == 0
    assert begin(log, 500) == 0


@given(st.sets(st.integers(5, 400), max_size=60), st.integers(1, 80))
def test_as_many_records_follow_as_are_wanted(offsets, most):
    """No more, for the time that a start may take; no fewer, if there are more."""
    kept = sorted(offsets)
    log = Log(kept, 420)
    start = begin(log, most, low=5)
    assert sum(offset >= start for offset in kept) == min(most, len(kept))


def test_little_more_is_read_than_counted():
    """The log may have a hundred million records, of which ten million are wanted."""
    log = Log(list(range(10_000)), 10_000)
    assert begin(log, 95) == 9_905
    assert log.read <= 95 + 2 * 10 + 12 * 7


def test_an_error_is_told():
    """It is tried again from the start; half a count would leave out half of the history."""
    log = Log([1, 2], 9)
    log.failure = KafkaError(KafkaError._TRANSPORT)
    with pytest.raises(KafkaException):
        begin(log, 1)


def test_a_replica_that_is_stopped_does_not_wait_for_the_count():
    """Kafka may be away."""
    stop = threading.Event()
    stop.set()
    assert start_of_last(Log([], 100), PART, 0, 100, 3, stop) == 0
