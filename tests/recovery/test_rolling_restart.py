"""Two servers of one stack, as processes, are restarted one after another under load."""

import dataclasses
import threading
import time
from collections import Counter
from contextlib import ExitStack
from operator import gt

import pytest

from cli.stack import apps
from cli.stack.layout import Home, Ports
from cli.stack.process import stop
from nextclick import Client, Event
from tests.integration.conftest import LIMIT_S, eventually

VISITORS = 4
VIEWS = 1_000  # of a session: one that is longer than MAX_SESSION_STEPS ends


class Server:
    """A server on the stack's Kafka and Redis, which keeps its ports and snapshots."""

    def __init__(self, stack, folder):
        self._home = Home(folder)
        free = Ports.free()
        self._ports = dataclasses.replace(free, kafka=stack.ports.kafka, redis=stack.ports.redis)
        self.address = f"127.0.0.1:{self._ports.grpc}"
        self._child = None

    def start(self):
        self._child = apps.start_server(self._home, self._ports, bound=True)
        apps.wait_serving(self._home, self._ports, self._child)

    def stop(self):
        stop([self._child], grace_s=60)


class Visitor:
    """Looks at items, and asks for a recommendation after each; keeps what failed."""

    def __init__(self, client, name):
        self._client, self._name, self.failures = client, name, []
        self.views, self.by_session = 0, Counter()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._visit)

    def _visit(self):
        while not self._end.is_set():
            item, now = f"{self._name}-{self.views % 7}", int(time.time() * 1000)
            session_id = f"{self._name}-{self.views // VIEWS}"
            try:
                put = self._client.put_events([Event("view", item, now, session_id=session_id)])
                self.views += put.accepted
                self.by_session[session_id] += put.accepted
                assert self._client.recommend(session_id).recommendation_id
            except Exception as failure:
                self.failures.append(failure)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join(LIMIT_S)


@pytest.fixture
def servers(stack, tmp_path):
    servers = [Server(stack, tmp_path / name) for name in ("a", "b")]
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.stop()


def test_a_rolling_restart_fails_no_call_and_counts_each_view_once(servers):
    """An upgrade must not cost a shop a page or a click, nor count a click twice."""
    target = ",".join(server.address for server in servers)
    mark = f"{time.time_ns():x}"
    with ExitStack() as visiting, Client(target, timeout_s=LIMIT_S) as client:
        visitors = [Visitor(client, f"{mark}-{number}") for number in range(VISITORS)]
        for visitor in visitors:
            visiting.enter_context(visitor)
        for server in servers:
            server.stop()
            server.start()
            reached = [visitor.views for visitor in visitors]
            eventually(
                lambda: [visitor.views for visitor in visitors],
                lambda now, before=reached: all(map(gt, now, before)),
                "more views of all visitors",
            )
        visiting.close()
        assert not [failure for visitor in visitors for failure in visitor.failures]
        for visitor in visitors:
            for session_id, views in visitor.by_session.items():
                eventually(
                    lambda session_id=session_id: client.recommend(session_id).session_version,
                    lambda version, views=views: version == views,
                    "each view counted once",
                )
