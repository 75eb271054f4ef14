"""A running server for tests: real gRPC and real models; Kafka is a list, Redis away."""

import threading
import time

from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY

from cli.stack.layout import Ports
from listeners.guard import UNGUARDED
from nextclick import channel
from nextclick.v1 import (
    catalog_service_pb2_grpc,
    event_service_pb2,
    event_service_pb2_grpc,
    feature_service_pb2_grpc,
    model_service_pb2_grpc,
    recommendation_service_pb2,
    recommendation_service_pb2_grpc,
    user_service_pb2_grpc,
)
from server.kafka.acked_producer import Outcome
from server.services.catalogue import Catalogue
from server.services.event import Events
from server.services.features import Features
from server.services.model import Models
from server.services.profiles import UserProfiles
from server.services.users import Users
from server.stages import untimed
from server.transport import fast_lane
from server.transport.server import GrpcServer
from settings.server import ServerSettings
from tests.unit.server.services.shop import Shop

WAITING = 3
LIMIT_S = 60.0
"""For what takes milliseconds: a test that reaches it fails."""


class FakeProducer:
    """Acknowledges at once, or not before `acknowledge` is set, or never: `gives_up`."""

    def __init__(self):
        self.acknowledge, self.gives_up = threading.Event(), False
        self.records, self.timeouts, self.waiting = [], [], 0
        self._lock = threading.Lock()
        self.acknowledge.set()

    def put(self, topic, records, timeout_s):
        with self._lock:
            self.timeouts.append(timeout_s)
            self.waiting += 1
        acknowledged = not self.gives_up and self.acknowledge.wait(LIMIT_S)
        with self._lock:
            self.waiting -= 1
        self.records += [(topic, *record) for record in records] if acknowledged else []
        return [Outcome("" if acknowledged else "not in time")] * len(records)


class Served:
    """A running server and stubs of it."""

    def __init__(self, guard=UNGUARDED, tls=None, stages=untimed, producer=None, **more):
        self.shop, self.producer = Shop(), producer or FakeProducer()
        more = {"grpc_port": Ports.free().grpc, "max_waiting_puts": WAITING, **more}
        settings = ServerSettings(**more)
        self.port = settings.grpc_port
        self.handlers = (
            self.shop.service,
            Events(self.producer, self.shop.replica, settings),
            Catalogue(self.producer, self.shop.replica, ""),
            Users(self.producer, self.shop.replica, ""),
            UserProfiles(self.shop.replica, self.shop.redis),
            Models(self.producer, self.shop.replica, ""),
            Features(self.shop.replica, self.shop.redis),
        )
        self.server = GrpcServer(
            settings, self.handlers, self.shop.service.send_impressions, stages, guard
        )
        self.server.start()
        self.target = f"127.0.0.1:{self.port}"
        self.channel = channel.blocking(self.target, tls)
        self.answers = recommendation_service_pb2_grpc.RecommendationServiceStub(self.channel)
        self.events = event_service_pb2_grpc.EventServiceStub(self.channel)
        self.catalogue = catalog_service_pb2_grpc.CatalogServiceStub(self.channel)
        self.users = user_service_pb2_grpc.UserServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self.features = feature_service_pb2_grpc.FeatureServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def recommend(self, **fields):
        request = recommendation_service_pb2.RecommendRequest(**fields)
        return self.answers.Recommend(request, timeout=LIMIT_S)

    def put(self, timeout=LIMIT_S):
        event = event_service_pb2.Event(
            type="view", session_id="s", item_id="a", timestamp_ms=now()
        )
        request = event_service_pb2.PutEventsRequest(events=[event])
        return self.events.PutEvents(request, timeout=timeout)

    def status(self):
        return self.health.Check(health_pb2.HealthCheckRequest(), timeout=LIMIT_S).status

    def close(self):
        if isinstance(self.producer, FakeProducer):
            self.producer.acknowledge.set()
        self.channel.close()
        self.server.drain(0)


def now():
    return int(time.time() * 1000)


def count(method, code):
    labels = {"method": method, "code": code}
    return REGISTRY.get_sample_value("nextclick_requests_total", labels) or 0.0


def refused(reason):
    return REGISTRY.get_sample_value("nextclick_calls_refused_total", {"reason": reason})


class Clock:
    """The fast lane's clock, which a test puts forward: deadlines pass without being waited for."""

    def __init__(self, monkeypatch):
        self.ahead_s = 0.0
        monkeypatch.setattr(fast_lane, "time", self)

    def time(self):
        return time.time() + self.ahead_s


def until(condition):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
