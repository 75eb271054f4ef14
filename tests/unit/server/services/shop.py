"""A shop with the real models and no network, and a service that answers for it."""

import threading

from nextclick.v1 import recommendation_service_pb2 as pb
from nextclick.v1.impression_pb2 import Impression
from nextclick.v1.session_pb2 import EVENT_TYPE_PURCHASE, SessionRecord
from online_models.engine import Engine
from online_models.memory.layout import Limits
from server.deferred import Deferred
from server.replica.redis_view import UNREAD, Stored
from server.replica.replica import Replica
from server.services.recommendation import Recommendations


class NoImpressions:
    def __init__(self):
        self.seen = []

    def due(self):
        return True

    def put(self, impression, key):
        self.seen.append((Impression.FromString(impression), key))


class FakeRedis:
    """Redis as a dict, away on demand; counts what it is asked."""

    def __init__(self):
        self.sessions, self.users, self.profiles = {}, {}, {}
        self.up, self.asked = True, 0
        self.timeout_s, self.locked = 60.0, []
        self.lock = threading.Lock()

    def read(self, questions):
        self.asked += 1
        self.locked.append(self.lock.locked())
        if not self.up:
            return [UNREAD] * len(questions)
        ids = [self.users.get(q.user_id) or q.session_id for q in questions]
        of = [q.profile_of for q in questions]
        return [
            Stored(i, self.sessions.get(i), profile_of=user, profile=self.profiles.get(user))
            for i, user in zip(ids, of, strict=True)
        ]


def record(session_id, items, version=None, user_id="", purchased=()):
    out = SessionRecord(session_id=session_id, version=version or len(items), user_id=user_id)
    for seq, item in enumerate(items, 1):
        step = out.steps.add(item_id=item, seq=seq, timestamp_ms=seq)
        if item in purchased:
            step.type = EVENT_TYPE_PURCHASE
    return out


class Shop:
    def __init__(self):
        limits = Limits(max_items=512, max_sessions=256, pairs=256)
        self.replica = Replica(Engine(limits))
        self.replica.caught_up = self.replica.whole_log = True
        self.redis, self.impressions = FakeRedis(), NoImpressions()
        self.redis.lock = self.replica._lock
        self.service = Recommendations(self.replica, self.redis, self.impressions)
        for i in range(60):
            name = f"t{i}"
            self.apply(record(name, [f"i{i % 20}", f"i{i % 20 + 1}", f"i{i % 20 + 2}"]))

    def apply(self, session):
        self.replica.apply_session(b"", session.SerializeToString())

    def recommend(self, **fields):
        raw = pb.RecommendRequest(**fields).SerializeToString()
        answer = self.service.recommend(raw)
        if isinstance(answer, Deferred):
            answer = answer.wait()
        answer = pb.RecommendResponse.FromString(answer)
        self.service.send_impressions()
        return answer


def ids(response):
    return [item.item_id for item in response.items]


def batch(*requests):
    return pb.BatchRecommendRequest(requests=requests).SerializeToString()
