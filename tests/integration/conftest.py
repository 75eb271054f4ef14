"""What integration tests share: clients, producers and readers of the running stack."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from nextclick import Client
from nextclick.topics import PRODUCER_CONFIG

LIMIT_S = 300.0
"""For what takes moments, where others keep the cores busy: a test that reaches it fails."""


def pytest_collection_modifyitems(items):
    for item in items:
        if "integration" in str(item.fspath):
            item.add_marker(pytest.mark.integration)


@pytest.fixture
def client(stack):
    """A client of the stack's server."""
    with Client(stack.target, timeout_s=60) as client:
        yield client


@pytest.fixture(scope="session")
def producer(stack):
    """A producer as the README tells backends to make one."""
    return Producer({**PRODUCER_CONFIG, "bootstrap.servers": stack.kafka})


def eventually(get, accept, what, timeout_s=LIMIT_S):
    """Call ``get`` until ``accept`` takes its result, and return it."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = get()
        if accept(value):
            return value
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:.0f} s; last: {value}"
        time.sleep(0.02)


class Reader:
    """Reads a topic from where it ended when the reader was made (or from its beginning)."""

    def __init__(self, kafka, topic, from_beginning=False, partitions=4):
        self._consumer = Consumer({"bootstrap.servers": kafka, "group.id": "test"})
        assigned = []
        self._consumer.list_topics(topic, timeout=60)
        for p in range(partitions):
            low, high = eventually(lambda p=p: self._ends(topic, p), bool, "a leader")
            assigned.append(TopicPartition(topic, p, low if from_beginning else high))
        self._consumer.assign(assigned)
        self.messages = []

    def _ends(self, topic, p):
        try:
            return self._consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=60)
        except KafkaException:  # right after a topic was created
            return None

    def read(self):
        """Read what has come; returns all messages so far."""
        self.messages += [m for m in self._consumer.consume(5_000, 0.1) if m.error() is None]
        return self.messages

    def close(self):
        self._consumer.close()


@pytest.fixture
def reader(stack):
    """Make readers that are closed after the test."""
    made = []

    def make(topic, from_beginning=False):
        made.append(Reader(stack.kafka, topic, from_beginning))
        return made[-1]

    yield make
    for one in made:
        one.close()
