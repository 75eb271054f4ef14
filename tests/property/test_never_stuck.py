"""Random and mutated bytes on every topic that a replica reads, and in every call that it answers.

Between them, answers are asked for. The longest hold of the replica's lock, or call, is told, in
processor time.
"""

import gc
import threading
import time
from contextlib import contextmanager

import pytest
from prometheus_client import REGISTRY

from nextclick.codec import DeadLetterReason
from nextclick.topics import DEAD_LETTERS, SESSIONS
from nextclick.v1 import recommendation_service_pb2 as pb
from nextclick.v1.session_pb2 import SessionRecord
from online_models.engine import Engine
from online_models.memory.layout import Limits
from records.refused import FAILED
from server.deferred import Deferred
from server.errors import RequestError
from server.interpreter import exempt_from_collection
from server.replica import log_reader
from server.replica import replica as replicas
from server.replica.log_reader import LogReader
from server.replica.replica import Replica
from server.services.catalogue import Catalogue
from server.services.event import Events
from server.services.features import Features
from server.services.model import Models
from server.services.profiles import UserProfiles
from server.services.recommendation import Recommendations
from server.services.users import Users
from server.stages import UNTIMED
from server.transport.fast_lane import Aside
from server.transport.lanes import Lanes
from server.transport.methods import METHODS
from settings.server import ServerSettings
from tests.property.fuzz import READ_BY_REPLICAS, NoKafka, longest
from tests.property.request_fuzz import RequestFuzz
from tests.unit.server.replica.played_log import FakeBroker, FakeConsumer, Message
from tests.unit.server.services.shop import FakeRedis, NoImpressions

LIMITS = Limits(max_items=32, max_sessions=32, pairs=4_096)
"""Fewer than there are names: items and sessions come and go."""

REPEATED = 100
"""Cheap messages before each: half a millisecond."""

WARM_UP = 30

FAR_S = 2**33
"""A deadline that will not come."""


class WatchedLock:
    """A lock that knows its longest hold, in seconds of its holder's processor time."""

    def __init__(self):
        self._lock = threading.Lock()
        self.longest = self._since = 0.0

    def acquire(self):
        self._lock.acquire()
        self._since = time.thread_time()

    def release(self):
        self.longest = max(self.longest, time.thread_time() - self._since)
        self._lock.release()

    def __enter__(self):
        self.acquire()

    def __exit__(self, *_):
        self.release()


class Fuzzer(RequestFuzz):
    """A replica under a log reader, all services, and what their steps took."""

    def __init__(self, seed):
        super().__init__(seed)
        self.replica = Replica(Engine(LIMITS, sample=0, remote=True))
        self.replica.engine.begin_index(time.monotonic)
        self.replica.caught_up = True
        self.lock = self.replica._lock = WatchedLock()
        self.reader = LogReader(self.replica, ServerSettings())
        self.service = Recommendations(self.replica, FakeRedis(), NoImpressions(), shadow_sample=2)
        handlers = [
            self.service,
            Events(NoKafka(), self.replica, ServerSettings()),
            Catalogue(NoKafka(), self.replica, ""),
            Users(NoKafka(), self.replica, ""),
            UserProfiles(self.replica, FakeRedis()),
            Models(NoKafka(), self.replica, ""),
            Features(self.replica, FakeRedis()),
        ]
        lanes = Lanes(1, self.service.send_impressions)
        for method in METHODS:
            lanes.add(method, method.bound_to(handlers))
        self.calls = {path.rpartition("/")[2]: answer for path, answer in lanes.calls.items()}
        self.calls["StreamRecommend"] = lambda raw, *_: self.service.stream_recommend(raw)
        self.offset = 0
        once = SessionRecord(session_id="repeated", incarnation=1, version=1).SerializeToString()
        self.repeated = [Message(SESSIONS, 0, 0, once)] * REPEATED

    def timed(self, name, work):
        try:
            return self.measured(name, work)
        except RequestError:
            return None
        except Exception as e:
            if "Decode" not in type(e).__name__:
                raise
            return None

    def apply(self, topic, key, value):
        headers = self.headers() if topic == DEAD_LETTERS else None
        message = Message(topic, 0, self.offset, value, headers=headers)
        message.key = lambda: key
        self.offset += 1
        self.lock.longest = 0.0
        self.reader._apply([*self.repeated, message])  # it may come when a slice is nearly over
        self.note(topic, self.lock.longest)

    def headers(self):
        """Return the headers of a dead letter, some of which no job writes."""
        pick = self.random
        reason = "reason", pick.choice([None, b"", b"unknown", DeadLetterReason.TOO_LATE.encode()])
        return [reason] + [("x", b"")] * pick.choice([0, 4, 10_000])

    def call(self, name, raw):
        answer = self.timed(name, lambda: self.calls[name](raw, FAR_S, UNTIMED))
        if isinstance(answer, Aside):
            self.lock.longest = 0.0
            answer.work()  # on a thread of its own: of its time, only that under the lock counts
            self.note(name, self.lock.longest)
            self.timed(name, answer.at_once)
        self.timed("impressions", self.service.send_impressions)

    def warm_up(self):
        """Send only what is valid: the first of each kind loads compiled code."""
        for _ in range(WARM_UP):
            for topic in READ_BY_REPLICAS:
                self.apply(topic, *self.record(topic))
            for name in self.calls:
                self.call(name, self.request(name))

    def run(self, rounds):
        for _ in range(rounds):
            for topic in READ_BY_REPLICAS:
                self.apply(topic, *self.fuzzed(topic))
            name = self.random.choice(list(self.calls))
            self.call(name, self.fuzzed_request(name))


def bugs():
    """Records and calls that ended in an exception that nobody expected."""
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
        if FAILED in sample.labels.values() or "INTERNAL" in sample.labels.values()
    )


@contextmanager
def collected_as_in_the_server():
    """Set the collector of garbage as the server does before it answers."""
    before = gc.get_threshold()
    exempt_from_collection()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


@pytest.mark.parametrize(
    ("rounds", "bound"),
    [
        (300, 50),
        pytest.param(100_000, 10, marks=[pytest.mark.long, pytest.mark.timeout(7_200)]),
    ],
)
def test_whatever_comes_answers_go_on(rounds, bound, monkeypatch):
    """One record or request that takes seconds, or ends a thread, would be an outage for all."""
    monkeypatch.setattr(log_reader, "Consumer", FakeConsumer)
    monkeypatch.setattr(log_reader, "Broker", FakeBroker)
    monkeypatch.setattr(replicas, "BUSY_S", 0.0)  # nobody waits for the lock here
    before = bugs()

    def run():
        fuzzer = Fuzzer(1)
        fuzzer.warm_up()
        with collected_as_in_the_server():
            fuzzer.run(rounds)
        assert fuzzer.offset == (rounds + WARM_UP) * len(READ_BY_REPLICAS)
        answer = fuzzer.service.recommend(
            pb.RecommendRequest(session_id="new", session_items=["i1"]).SerializeToString()
        )
        assert isinstance(answer, (bytes, Deferred))
        return fuzzer

    floors, told = longest(run, bound)
    assert bugs() == before
    assert floors <= bound, told
