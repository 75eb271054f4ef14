"""What health checks and their watchers hear, while the server starts, serves and drains."""

import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2

from nextclick import Client
from server.transport.health import MAX_CLIENT_WATCHERS
from tests.unit.server.transport.served import LIMIT_S, until


def test_health_follows_the_replica_and_watchers_hear_of_it(served):
    """A load balancer sends no traffic before SERVING, and none after NOT_SERVING."""
    # More of them than there are threads.
    watches = [served.health.Watch(health_pb2.HealthCheckRequest()) for _ in range(20)]
    heard = [next(watches[0]).status]
    assert all(next(w).status == heard[0] for w in watches[1:])
    served.server.set_serving(True)
    heard.append(next(watches[0]).status)
    served.server.set_serving(False)
    heard.append(next(watches[0]).status)
    for watch in watches:
        watch.cancel()
    kinds = health_pb2.HealthCheckResponse
    assert heard == [kinds.NOT_SERVING, kinds.SERVING, kinds.NOT_SERVING]


def test_watchers_that_leave_while_the_status_changes_stop_nothing(served):
    """A stream that ends takes the lock under which changes are sent: neither may wait for both."""

    def come_and_go():
        for _ in range(60):
            watch = served.health.Watch(health_pb2.HealthCheckRequest())
            next(watch)
            watch.cancel()

    visitors = [threading.Thread(target=come_and_go) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    changes = 0
    while any(visitor.is_alive() for visitor in visitors):
        served.server.set_serving(changes % 2 == 0)
        changes += 1
    served.server.set_serving(True)
    reply = served.health.Check(health_pb2.HealthCheckRequest(), timeout=LIMIT_S)
    assert reply.status == health_pb2.HealthCheckResponse.SERVING
    assert changes > 1


def test_clients_beyond_the_watchers_are_answered(served):
    """A client of gRPC whose watch fails sends no calls, unless it hears of UNIMPLEMENTED."""
    served.server.set_serving(True)
    watches = [
        served.health.Watch(health_pb2.HealthCheckRequest()) for _ in range(MAX_CLIENT_WATCHERS)
    ]
    for watch in watches:
        next(watch)
    with pytest.raises(grpc.RpcError) as error:
        next(served.health.Watch(health_pb2.HealthCheckRequest(), timeout=LIMIT_S))
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
    with Client(f"127.0.0.1:{served.port},127.0.0.2:{served.port}", timeout_s=LIMIT_S) as client:
        assert len(client.recommend("s").items) == 20
    for watch in watches:
        watch.cancel()


def test_a_draining_server_still_answers_until_balancers_have_noticed(served):
    """Calls that a balancer sent before its next health check failed at every deployment."""
    draining = threading.Thread(target=served.server.drain, args=(0, LIMIT_S), daemon=True)
    draining.start()
    until(lambda: served.status() == health_pb2.HealthCheckResponse.NOT_SERVING)
    assert len(served.recommend(session_id="s").items) == 20
    assert draining.is_alive()
