"""Random and mutated bytes on every topic that a replica reads, and in every call that it answers.

Between them, answers are asked for. The longest hold of the lock is told, in processor time.
"""

import random
import time

import numpy as np
import pytest
from prometheus_client import REGISTRY

from nextclick import Item, encode_item
from nextclick.limits import MAX_REQUEST_BYTES, SESSION_STEPS
from nextclick.topics import (
    ITEMS,
    RANKER,
    RANKER_MODEL,
    SCOREBOARD,
    SESSIONS,
    TOPICS,
    VECTORS,
)
from nextclick.v1 import learning_pb2, scoreboard_pb2
from nextclick.v1 import recommendation_service_pb2 as pb
from nextclick.v1.session_pb2 import SessionRecord, Step
from online_models.engine import Engine
from online_models.memory.layout import Limits
from records import item_vectors
from server.deferred import Deferred
from server.errors import RequestError
from server.replica import log_reader
from server.replica.followed_topics import FOLLOWED
from server.replica.log_reader import LogReader
from server.replica.refused import FAILED
from server.replica.replica import Replica
from server.services.recommendation import Recommendations
from server.transport.lanes import Lanes
from server.transport.methods import METHODS, Lane
from settings.server import ServerSettings
from tests.unit.server.replica.test_log_reader import FakeBroker, FakeConsumer, Message
from tests.unit.server.services.test_recommendation import FakeRedis, NoImpressions

LIMITS = Limits(max_items=32, max_sessions=32, pairs=4_096)
"""Fewer than there are names: items and sessions come and go."""

WARM_UP = 30

BOUND_S = 1.0
"""Far above the 2 ms that a hold should take: on a busy machine, collection of garbage and loading
of code count as processor time, too. What is not bounded takes seconds."""


class Fuzzer:
    """A replica under a log reader, a service over it, and what the longest of their steps took."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.replica = Replica(Engine(LIMITS, sample=0, remote=True))
        self.replica.engine.begin_index(time.monotonic)
        self.replica.caught_up = True
        self.reader = LogReader(self.replica, ServerSettings())
        self.service = Recommendations(self.replica, FakeRedis(), NoImpressions(), shadow_sample=2)
        lanes = Lanes(1, self.service.send_impressions)
        for method in METHODS:
            if method.lane is Lane.FAST:
                lanes.grpc_handler(method, method.bound_to([self.service]))
        self.calls = {
            **lanes.fast,
            "batch": self.service.batch_recommend,
            "stream": self.service.stream_recommend,
        }
        self.offset = 0
        self.longest = (0.0, "")

    def timed(self, name, work):
        started = time.thread_time()
        try:
            found = work()
        except RequestError:
            found = None
        except Exception as e:
            if "Decode" not in type(e).__name__:
                raise
            found = None
        self.longest = max(self.longest, (time.thread_time() - started, name))
        return found

    def apply(self, topic, key, value):
        message = Message(topic, 0, self.offset, value)
        message._fields["key"] = key
        message.key = lambda: key
        self.offset += 1
        self.timed(topic, lambda: self.reader._apply_one(message))

    def call(self, name, raw):
        answer = self.timed(name, lambda: self.calls[name](raw))
        if isinstance(answer, Deferred):
            self.timed(name, answer.at_once)
        self.timed("impressions", self.service.send_impressions)

    # ---- what is sent

    def name(self, kind, n=40):
        name = f"{kind}{self.random.randrange(n)}"
        return name + "x" * (256 - len(name)) if self.random.random() < 0.02 else name

    def items(self, n):
        return [self.name("i") for _ in range(self.random.randint(1, n))]

    def record(self, topic):
        """Return key and value of a valid record, most of them as large as they may be."""
        pick = self.random
        if topic == SESSIONS:
            first = pick.randrange(1 << 20)
            steps = [
                Step(item_id=item, seq=first + n, timestamp_ms=1_000 * (first + n))
                for n, item in enumerate(self.items(SESSION_STEPS))
            ]
            session = SessionRecord(
                session_id=self.name("s"),
                user_id=self.name("u"),
                version=first + len(steps) - 1,
                steps=steps,
                hidden_item_ids=self.items(50),
            )
            return session.session_id.encode(), session.SerializeToString()
        item = self.name("i")
        if topic == ITEMS:
            tags = tuple(f"c{pick.randrange(30)}" for _ in range(16))
            more = {f"k{n}": "v" * 200 for n in range(32)}
            shown = Item(item, categories=tags, attributes=more, title="a word " * 140)
            return item.encode(), encode_item(
                Item(item, deleted=True) if pick.random() < 0.1 else shown
            )
        if topic == VECTORS:
            both = np.random.default_rng(pick.randrange(1 << 30)).normal(size=(2, 64))
            vectors = item_vectors.ItemVectors(*both.astype(np.float32), 1, [1] * 4)
            return item.encode(), item_vectors.encode(vectors)
        if topic == RANKER:
            state = learning_pb2.LearnerState(version=1, kept_versions=range(20))
            return RANKER_MODEL.encode(), state.SerializeToString()
        assert topic == SCOREBOARD
        name = pick.choice(["blend", "ranker"])
        window = scoreboard_pb2.ScoreWindow(size=1_000, at=[scoreboard_pb2.CutoffScores(k=5)] * 3)
        score = scoreboard_pb2.Score(model=name, cases=9, windows=[window] * 2)
        return name.encode(), score.SerializeToString()

    def request(self, name):
        """Return a valid request, some of them as large as they may be."""
        pick = self.random
        visitor = {"session_id": self.name("s"), "session_items": self.items(SESSION_STEPS)}
        flt = {
            "categories": [f"c{n}" for n in range(pick.randrange(65))],
            "excluded_item_ids": self.items(1_000),
            "exclude_seen": True,
        }
        size = pick.choice([0, 500])
        recommend = pb.RecommendRequest(
            **visitor, page_size=size, filter=flt, explain=pick.random() < 0.3
        )
        return {
            "Rank": pb.RankRequest(**visitor, item_ids=self.items(500)),
            "SimilarItems": pb.SimilarItemsRequest(
                item_id=self.name("i"), page_size=size, filter=flt
            ),
            "Trending": pb.TrendingRequest(page_size=size, filter=flt),
            "batch": pb.BatchRecommendRequest(requests=[recommend]),
            "stream": pb.StreamRecommendRequest(request=recommend),
        }.get(name.rpartition("/")[2], recommend).SerializeToString()

    def mutated(self, raw, most):
        """Return bytes that are nearly valid, or not at all, or far too many of them."""
        pick = self.random
        kind = pick.randrange(6)
        if kind == 0:
            return raw
        if kind == 1:
            return pick.randbytes(pick.randrange(200))
        if kind == 2:  # a short field many times: the most work in the fewest bytes
            unit = bytes([8 * pick.randrange(1, 16) + 2, 0])
            return unit * (pick.choice([100, most, 4 * most]) // 2)
        out = bytearray(raw)
        for _ in range(pick.randint(1, 8)):
            at = pick.randrange(len(out) + 1)
            if kind == 3:
                out[at : at + 1] = pick.randbytes(1)
            elif kind == 4:
                del out[at : at + pick.randrange(20)]
            else:
                out[at:at] = out[at : at + pick.randrange(200)]
        return bytes(out)

    def warm_up(self):
        """Send only what is valid: the first of each kind loads compiled code."""
        for _ in range(WARM_UP):
            for followed in FOLLOWED:
                self.apply(followed.name, *self.record(followed.name))
            for name in self.calls:
                self.call(name, self.request(name))

    def run(self, rounds):
        for _ in range(rounds):
            for followed in FOLLOWED:
                key, value = self.record(followed.name)
                if self.random.random() < 0.05:
                    value = None
                else:
                    most = TOPICS[followed.name].max_value_bytes
                    value = self.mutated(value, most)
                if self.random.random() < 0.05:
                    key = self.random.randbytes(self.random.choice([0, 10, 100_000]))
                self.apply(followed.name, key, value)
            name = self.random.choice(list(self.calls))
            self.call(name, self.mutated(self.request(name), MAX_REQUEST_BYTES))


def bugs():
    """Records and calls that ended in an exception that nobody expected."""
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if FAILED in sample.labels.values() or "INTERNAL" in sample.labels.values()
    )


@pytest.fixture
def fuzzer(monkeypatch):
    monkeypatch.setattr(log_reader, "Consumer", FakeConsumer)
    monkeypatch.setattr(log_reader, "Broker", FakeBroker)
    return Fuzzer(1)


@pytest.mark.parametrize(
    "rounds", [300, pytest.param(100_000, marks=[pytest.mark.long, pytest.mark.timeout(7_200)])]
)
def test_whatever_comes_answers_go_on(fuzzer, rounds, record_property):
    """One record or request that takes seconds, or ends a thread, would be an outage for all."""
    before = bugs()
    fuzzer.warm_up()
    fuzzer.longest = (0.0, "")
    fuzzer.run(rounds)
    seconds, what = fuzzer.longest
    record_property("longest_hold_ms", 1_000 * seconds)
    print(f"longest hold: {1_000 * seconds:.2f} ms of processor time, {what}")
    assert fuzzer.offset == (rounds + WARM_UP) * len(FOLLOWED)
    assert bugs() == before
    assert seconds < BOUND_S, what
    answer = fuzzer.service.recommend(
        pb.RecommendRequest(session_id="new", session_items=["i1"]).SerializeToString()
    )
    assert isinstance(answer, (bytes, Deferred))
