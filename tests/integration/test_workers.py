"""Several servers on one port: one that dies is replaced, and nobody else notices."""

import json
import os
import signal
import subprocess
import sys
import urllib.request

import grpc
import psutil

from cli.stack.layout import PROJECT, Ports
from nextclick.v1.recommendation_service_pb2 import RecommendRequest
from nextclick.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from tests.integration.conftest import eventually

ANYBODY = RecommendRequest(session_id="anybody")


def serving(ports, worker):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{ports.http + worker}/healthz", timeout=10):
            return True
    except OSError:
        return False


def test_a_worker_that_dies_is_replaced_without_a_failed_call_elsewhere(stack, tmp_path):
    """A shop does not stop for one process."""
    ports = Ports.free(workers=2)
    argv = [sys.executable, "-m", "cli", "serve", "--workers", "2"]
    argv += ["--grpc-port", str(ports.grpc), "--http-port", str(ports.http), "--kafka", stack.kafka]
    argv += ["--redis", f"redis://127.0.0.1:{stack.ports.redis}/0", "--data-dir", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'proto'}"}
    supervisor = subprocess.Popen(argv, env=env, stderr=subprocess.DEVNULL)
    try:
        for worker in range(2):
            eventually(lambda w=worker: serving(ports, w), bool, f"worker {worker} SERVING")
        workers = {p.pid for p in psutil.Process(supervisor.pid).children()}
        assert len(workers) == 2
        # Channels of one process would share a connection.
        own = [("grpc.use_local_subchannel_pool", 1)]
        channels = [grpc.insecure_channel(f"127.0.0.1:{ports.grpc}", own) for _ in range(12)]
        calls = [RecommendationServiceStub(channel).Recommend for channel in channels]
        for call in calls:
            call(ANYBODY, timeout=60)
        lost = connected(ports, workers)
        dead = max(lost, key=lost.get)
        os.kill(dead, signal.SIGKILL)
        failed = 0
        for call in calls:
            try:
                call(ANYBODY, timeout=60)
            except grpc.RpcError:
                failed += 1
        assert failed <= lost[dead], "calls on the other worker's connections do not fail"
        for call in calls:  # whoever lost its worker finds the other one
            call(ANYBODY, timeout=60, wait_for_ready=True)

        def both():
            now = {p.pid for p in psutil.Process(supervisor.pid).children()}
            return len(now) == 2 and dead not in now and serving(ports, 0) and serving(ports, 1)

        eventually(both, bool, "the dead one is replaced")
        for channel in channels:
            channel.close()
    finally:
        supervisor.terminate()
        supervisor.wait(300)
    assert supervisor.returncode == 0
    assert not [pid for pid in workers if psutil.pid_exists(pid) and pid != dead]
    assert json.dumps(sorted(p.name for p in tmp_path.iterdir())) == '["worker-0", "worker-1"]'


def connected(ports, workers):
    """Connections to the port, by worker."""
    counts = dict.fromkeys(workers, 0)
    for pid in workers:
        for connection in psutil.Process(pid).net_connections():
            if connection.status == "ESTABLISHED" and connection.laddr.port == ports.grpc:
                counts[pid] += 1
    assert sum(counts.values()) >= 12
    return counts
