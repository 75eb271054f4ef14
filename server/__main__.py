"""A server replica: ``python -m server``; settings in `server.settings`."""

from __future__ import annotations

import gc
import json
import logging
import signal
import sys
import threading
import time
from importlib.metadata import version
from typing import Any

from nextclick.topics import SESSIONS
from online_models.engine import DEFAULT_SAMPLE, Engine, Filter
from online_models.memory.layout import Limits
from server.kafka.acked_producer import AckedProducer
from server.kafka.impressions import Impressions
from server.priority import come_first
from server.replica import scoreboard, snapshot
from server.replica.examples import Examples
from server.replica.index_builder import IndexBuilder
from server.replica.log_reader import Follower
from server.replica.periodic_snapshots import PeriodicSnapshots
from server.replica.redis_view import RedisView
from server.replica.replica import Replica
from server.services.catalogue import Catalogue
from server.services.event import Events
from server.services.model import Models
from server.services.recommendation import Recommendations
from server.transport.http import serve_http
from server.transport.server import GrpcServer
from settings.base import load
from settings.server import ServerSettings

log = logging.getLogger("nextclick.server")

WITHOUT_KAFKA_S = 10.0
"""A replica with a snapshot that cannot reach Kafka serves after this time, degraded."""

SWITCH_S = 0.001
"""Longest wait of a request for a thread that computes; Python's 5 ms are its whole budget."""

REHEARSED = 1_000
"""Sessions that are answered before health says SERVING, a tenth of a second."""

GC_THRESHOLDS = (5_000, 5, 100_000)
"""Young garbage is collected in steps of about a millisecond, the models' own never.

A full collection would look at every session in memory while requests wait.
"""


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def main() -> None:
    """Run a replica until SIGTERM or SIGINT: drain, then snapshot."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    sys.setswitchinterval(SWITCH_S)
    settings = load(ServerSettings)
    limits = Limits(max_items=settings.max_items, max_sessions=settings.max_sessions)
    replica = snapshot.read(settings.data_dir, limits) or Replica(
        Engine(limits, sample=0, remote=True)
    )
    run = emit_examples if settings.emit_examples else answer_calls
    run(replica, settings, stop)


def answer_calls(replica: Replica, settings: ServerSettings, stop: threading.Event) -> None:
    """Follow the log and answer."""
    replica.engine.begin_index()
    with come_first(settings.realtime):
        producer, impressions = AckedProducer(settings), Impressions(settings)
        redis_view = RedisView(settings.redis, settings.tenant, settings.redis_timeout_ms)
        recommendations = Recommendations(replica, redis_view, impressions, settings.shadow_sample)
        server = GrpcServer(
            settings,
            handlers=(
                recommendations,
                Events(producer, settings.tenant),
                Catalogue(producer, replica, settings.tenant),
                Models(producer, replica, settings.tenant),
            ),
            after_answers=recommendations.send_impressions,
        )
    serving = threading.Event()
    if settings.http_port:
        serve_http(settings.host, settings.http_port, lambda: status(replica, serving.is_set()))
    redis_view.start()
    if not settings.share_port:
        with come_first(settings.realtime):
            server.start()  # health says NOT_SERVING meanwhile
    warm_up(remote=True)
    snapshots = PeriodicSnapshots(replica, settings.data_dir, settings.snapshot_interval_s)
    builder = IndexBuilder(replica)
    with come_first(settings.realtime):  # answers wait for what holds the interpreter's lock
        follower = Follower(replica, settings, between=snapshots)
        follower.start()
        builder.start()
    if wait_until_ready(replica, stop):
        recommendations.rehearse(replica.sessions.newest(REHEARSED))
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        if settings.share_port:
            # A process that listens gets its share of the connections, ready or not.
            with come_first(settings.realtime):
                server.start()
        server.set_serving(True)
        serving.set()
        log.info("serving on %s:%d", settings.host, settings.grpc_port)
        stop.wait()
    log.info("draining")
    server.drain(settings.drain_s)
    stands_still = follower.stop()
    builder.stop()
    impressions.close()
    producer.close()
    redis_view.close()
    if not stands_still:
        raise SystemExit("the follower does not end: no snapshot is written")
    snapshot.write(replica, settings.data_dir)


def emit_examples(replica: Replica, settings: ServerSettings, stop: threading.Event) -> None:
    """Follow the log as a server does, and emit examples instead of answering."""
    examples = Examples(replica, settings)
    replica.sessions.before_learning = examples.take
    if settings.http_port:
        serve_http(
            settings.host,
            settings.http_port,
            lambda: status(replica, replica.caught_up) | {"emitted": examples.emitted},
        )
    warm_up(remote=True)
    snapshots = PeriodicSnapshots(replica, settings.data_dir, settings.snapshot_interval_s)
    follower = Follower(replica, settings, between=snapshots, wait=examples.ahead)
    follower.start()
    stop.wait()
    stands_still = follower.stop()
    examples.close()
    if stands_still:
        snapshot.write(replica, settings.data_dir)


def warm_up(remote: bool = False) -> None:
    """Load or compile every kernel on small models of the same types."""
    limits = Limits(max_items=64, max_sessions=64, pairs=64)
    engine = Engine(limits, sample=0 if remote else DEFAULT_SAMPLE, remote=remote)
    for _ in range(3):
        number = engine.open_session()
        for item in ("a", "b", "a", "c"):
            engine.learn(number, item)
        engine.learn(number, "d", 1)
    engine.strengthen("a")
    engine.put_item("e", categories=("x",))
    for flt in (None, Filter(("x",), (1,), True)):
        engine.recommend([1, 2], 20, 0, flt)
        engine.trending(20, flt)
        engine.shadow(20, engine.asked)
        rows = engine.recommend([1, 2], 20).rows
        engine.diversity(rows)
        engine.popularity(rows)
    engine.rank([1], [2])
    engine.explain([1], 2)


def wait_until_ready(replica: Replica, stop: threading.Event) -> bool:
    """Wait until caught up, or long enough without Kafka; False at the end."""
    started = time.monotonic()
    from_snapshot = replica.engine.clicks > 0
    while not replica.caught_up:
        if stop.wait(0.02):
            return False
        waited = time.monotonic() - started
        if from_snapshot and not replica.kafka_up and waited > WITHOUT_KAFKA_S:
            log.warning("Kafka is away: serving from the snapshot")
            return True
    return True


def status(replica: Replica, serving: bool) -> dict[str, Any]:
    """Return what ``nextclick status`` shows of this replica."""
    return {
        "name": "follower" if replica.sessions.before_learning else "server",
        "state": "SERVING" if serving else "NOT_SERVING",
        "lag": replica.lag_records,
        "lag_ms": replica.lag_ms,
        "position": sum(
            offset
            for (name, _), offset in replica.positions.copy().items()
            if name.endswith(SESSIONS)
        ),
        "version": version("nextclick"),
        "clicks": replica.engine.clicks,
        "ranking": replica.engine.ranking,
        "examples": replica.engine.examples,
        "scores": replica.engine.live_scores,
        "learners": {
            model: {
                "version": state.version,
                "applied": state.applied,
                "learned": state.learned,
                "paused": state.paused,
            }
            for model, state in replica.learners.copy().items()
        },
        "scoreboard": {
            model: scoreboard.describe(score) for model, score in replica.scoreboard.copy().items()
        },
        "vectors": replica.engine.with_vectors,
        "sessions": len(replica.sessions),
        "items": len(replica.engine.ids) - 1,
        "catalogue": len(replica.catalogue),
        "caught_up": replica.caught_up,
        "kafka_up": replica.kafka_up,
    }


if __name__ == "__main__":
    main()
