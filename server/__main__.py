"""Runs a replica of the log, a server or the example emitter: ``python -m server``.

Settings are in `settings.server`.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

from listeners.guard import Guard, guard_of
from listeners.process_info import show_process
from online_models.engine import Engine
from online_models.engine.warm_up import warm_up
from online_models.memory.layout import Limits
from online_models.ranking.policies import make_policy
from online_models.ranking.policy import Policy
from server import metrics, status
from server.interpreter import exempt_from_collection, switch_threads_often
from server.kafka.acked_producer import AckedProducer
from server.kafka.impressions import Impressions
from server.priority import come_first
from server.readiness import wait_until_ready
from server.replica import saved_snapshots, snapshot
from server.replica.content_builder import ContentBuilder
from server.replica.data_folder import locked
from server.replica.examples import ExampleEmitter
from server.replica.index_builder import IndexBuilder
from server.replica.log_reader import LogReader
from server.replica.periodic_snapshots import PeriodicSnapshots
from server.replica.redis_view import RedisView
from server.replica.replica import Replica, Role
from server.services.catalogue import Catalogue
from server.services.event import Events
from server.services.features import Features
from server.services.model import Models
from server.services.profiles import UserProfiles
from server.services.recommendation import Recommendations
from server.services.users import Users
from server.stages import untimed
from server.transport.http import serve_http
from server.transport.server import GrpcServer
from settings.load import load
from settings.log_lines import log_to_stderr
from settings.presets import PRESETS
from settings.server import ServerSettings

if TYPE_CHECKING:
    from server.transport.traces import Traces

log = logging.getLogger("nextclick.server")

REHEARSED = 1_000
"""Sessions that are answered before health turns SERVING; takes a tenth of a second."""


def main() -> None:
    """Run a replica until SIGTERM or SIGINT: drain, then write a snapshot.

    SIGUSR1 asks for a snapshot meanwhile.
    """
    stop, snapshot_asked_for = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGUSR1, lambda *_: snapshot_asked_for.set())
    switch_threads_often()
    settings = load(ServerSettings)
    role = Role.EMITTER if settings.emit_examples else Role.SERVER
    log_to_stderr(role.value, settings)
    policy = policy_of(settings)
    with locked(settings.data_dir):
        run(role, settings, policy, stop, snapshot_asked_for)


def run(
    role: Role,
    settings: ServerSettings,
    policy: Policy | None,
    stop: threading.Event,
    snapshot_asked_for: threading.Event,
) -> None:
    """Run a replica on the data of its folder."""
    guard = guard_of(
        settings.tokens_file,
        settings.tls_certificate_file,
        settings.tls_key_file,
        settings.tls_client_ca_file,
    )
    limits = Limits(max_items=settings.max_items, max_sessions=settings.max_sessions)
    replica = snapshot.read(
        settings.data_dir,
        limits,
        role,
        settings.tenant,
        max_users=settings.max_users,
        max_profiles=settings.max_profiles,
    ) or Replica(
        Engine(limits, sample=0, remote=True),
        role,
        max_users=settings.max_users,
        max_profiles=settings.max_profiles,
    )
    show_process(role.value, settings.tenant)
    metrics.MAX_ITEMS.set(settings.max_items)
    metrics.MAX_SESSIONS.set(settings.max_sessions)
    metrics.MAX_USERS.set(settings.max_users)
    metrics.MAX_PROFILES.set(settings.max_profiles)
    replica.kept_snapshots = saved_snapshots.kept(settings.data_dir)
    replica.engine.policy = policy
    preset = PRESETS[settings.preset]
    replica.engine.set_rates(preset.decay_long, preset.decay_short)
    work = {Role.SERVER: answer_calls, Role.EMITTER: emit_examples}[role]
    snapshots = PeriodicSnapshots(
        replica, settings.data_dir, settings.snapshot_interval_s, snapshot_asked_for
    )
    work(replica, settings, guard, stop, snapshots)


def policy_of(settings: ServerSettings) -> Policy | None:
    """Return the policy that re-orders answers; exit with a message if there is no such policy."""
    seed = int.from_bytes(os.urandom(4), "little")  # workers must not draw alike
    try:
        policy = make_policy(settings.policy, seed)
    except ValueError as e:
        raise SystemExit(f"NEXTCLICK_POLICY: {e}") from None
    if policy is not None:
        log.info("policy %s with seed %d", policy.name, seed)
    return policy


def traces_of(settings: ServerSettings) -> Traces | None:
    """Return what traces calls, None where nothing does; exit with a message if it cannot."""
    if not settings.traces_url:
        return None
    try:
        from server.transport.traces import Traces  # noqa: PLC0415 - its packages are optional
    except ModuleNotFoundError as e:
        raise SystemExit(
            f"NEXTCLICK_TRACES_URL: there is no {e.name}; install it with "
            "`pip install 'nextclick[tracing]'`, or trace nothing"
        ) from None
    log.info("traces of %g of the calls go to the receiver", settings.traces_share)
    return Traces(settings)


def answer_calls(
    replica: Replica,
    settings: ServerSettings,
    guard: Guard,
    stop: threading.Event,
    snapshots: PeriodicSnapshots,
) -> None:
    """Apply the log and answer calls."""
    replica.engine.begin_index(time.monotonic)
    traces = traces_of(settings)
    with come_first(settings.realtime):
        producer, impressions = AckedProducer(settings), Impressions(settings)
        redis_view = RedisView(settings, settings.tenant, settings.redis_timeout_ms)
        repeats = PRESETS[settings.preset].repeats
        recommendations = Recommendations(
            replica, redis_view, impressions, settings.shadow_sample, repeats=repeats
        )
        server = GrpcServer(
            settings,
            handlers=(
                recommendations,
                Events(producer, replica, settings),
                Catalogue(producer, replica, settings.tenant),
                Users(producer, replica, settings.tenant),
                UserProfiles(replica, redis_view),
                Models(producer, replica, settings.tenant),
                Features(replica, redis_view, repeats=repeats),
            ),
            after_answers=recommendations.send_impressions,
            stages=traces.begin if traces else untimed,
            guard=guard,
        )
    serving = threading.Event()
    metrics.SERVING.set_function(serving.is_set)
    if settings.http_port:
        serve_http(
            settings.host,
            settings.http_port,
            lambda: status.describe(replica, serving.is_set()),
            guard,
        )
    redis_view.start()
    if not settings.share_port:
        with come_first(settings.realtime):
            server.start()  # health says NOT_SERVING meanwhile
    warm_up(remote=True)
    builder, content = IndexBuilder(replica), ContentBuilder(replica)
    with come_first(settings.realtime):  # answers wait for threads that hold the GIL
        log_reader = LogReader(replica, settings, between_polls=snapshots)
        log_reader.start()
        builder.start()
        content.start()
    if wait_until_ready(replica, stop):
        recommendations.rehearse(replica.sessions.newest(REHEARSED))
        exempt_from_collection()
        if settings.share_port:
            # A listening process gets its share of the connections, even before it is ready.
            with come_first(settings.realtime):
                server.start()
        server.set_serving(True)
        serving.set()
        log.info("serving on %s:%d", settings.host, settings.grpc_port)
        stop.wait()
    serving.clear()
    log.info("draining")
    server.drain(settings.drain_s, settings.lame_duck_s)
    stands_still = log_reader.stop()
    builder.stop()
    content.stop()
    impressions.close()
    producer.close()
    redis_view.close()
    if traces:
        traces.close()
    if not stands_still:
        raise SystemExit("the log reader did not stop in time: no snapshot is written")
    snapshot.write(replica, settings.data_dir)


def emit_examples(
    replica: Replica,
    settings: ServerSettings,
    guard: Guard,
    stop: threading.Event,
    snapshots: PeriodicSnapshots,
) -> None:
    """Apply the log as a server does, but emit examples instead of answering calls."""
    emitter = ExampleEmitter(replica, settings)
    metrics.SERVING.set_function(lambda: replica.caught_up)
    if settings.http_port:
        serve_http(
            settings.host,
            settings.http_port,
            lambda: status.describe(replica, replica.caught_up) | emitter.describe(),
            guard,
        )
    warm_up(remote=True)
    content = ContentBuilder(replica)
    log_reader = LogReader(
        replica, settings, between_polls=snapshots, pause_clicks=emitter.keep_pace
    )
    log_reader.start()
    content.start()
    stop.wait()
    stands_still = log_reader.stop()
    content.stop()
    emitter.close()
    if stands_still:
        snapshot.write(replica, settings.data_dir)


if __name__ == "__main__":
    main()
