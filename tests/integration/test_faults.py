"""Parts that die, stop or forget, in a running stack."""

import time
import uuid

import redis

from cli.stack import apps, flink, flink_rest, process
from nextclick import Client, Event, NextclickError, encode_event
from nextclick.topics import REPLAY_HEADER, redis_session_key
from nextclick.v1.session_pb2 import SessionRecord
from tests.integration.conftest import eventually
from tests.integration.test_fuzz import expected_of, good_events, of_run
from tests.integration.test_path import fresh, now_ms, views


def test_a_killed_taskmanager_changes_no_version_of_any_session(stack, producer, reader):
    """After kill -9 the job goes back to a checkpoint: it must write the same again."""
    run = f"kill{uuid.uuid4().hex[:6]}"
    events, sessions = reader("events"), reader("sessions")
    clicks = list(good_events(run, 20_000))
    for key, raw in clicks:
        producer.produce("events", raw, key, headers=[(REPLAY_HEADER, b"1")])
    producer.flush()
    eventually(lambda: len(sessions.read()), lambda n: n > 2_000, "the job in mid-stream")
    killed_ms = time.time() * 1000
    name = stack.host_of(stack.jobs["sessions"]).name
    process.kill(stack.child(name))
    stack.replace(name, flink.start_taskmanager(stack.home, int(name[-1]), bound=True))
    newest, dead = expected_of(
        eventually(
            lambda: of_run(events.read(), run), lambda m: len(m) >= len(clicks), "the events"
        )
    )
    assert not dead
    seen = {}

    def read():
        for m in of_run(sessions.read(), run):  # the checkpoint may be older than this test
            seen.setdefault(m.key().decode(), []).append(m.value())
        sessions.messages.clear()
        return {session_id: values[-1] for session_id, values in seen.items()} == newest

    eventually(read, bool, "all sessions as without the kill")
    assert flink_rest.failures(stack.ports, stack.jobs["sessions"], killed_ms)
    for values in seen.values():
        by_version = {}
        for value in values:
            version = SessionRecord.FromString(value).version
            assert by_version.setdefault(version, value) == value


def test_a_wiped_redis_is_filled_again(stack, client):
    """Redis is a view: whatever happens to it, the log brings all of it back."""
    before = [fresh("wipe") for _ in range(20)]
    for session_id in before:
        client.put_events(views(session_id, ["a", "b"]))
    store = redis.Redis(port=stack.ports.redis)

    def versions():
        return {store.hget(redis_session_key(session_id), "version") for session_id in before}

    eventually(versions, lambda v: v == {b"2"}, "the sessions in Redis")
    store.flushall()
    client.put_events(views(fresh("next"), ["a"]))
    eventually(versions, lambda v: v == {b"2"}, "the sessions again")


def test_with_redis_paused_answers_go_on(stack, client):
    """A hanging cache must not hang the shop: at most three times slower, and no error."""
    session_id = fresh("pause")
    client.put_events(views(session_id, ["a"]))
    eventually(lambda: client.recommend(session_id), lambda a: a.session_version == 1, "the click")
    with process.paused(stack.child("redis")):
        eventually(
            lambda: client.recommend(session_id).degraded,
            lambda d: d == ("redis_unavailable",),
            "the answer says it",
        )
        during = [client.recommend(session_id) for _ in range(50)]
        unknown = client.recommend(fresh("unknown"))
    assert all(answer.session_version == 1 for answer in during)
    assert len(unknown.items) > 0
    eventually(lambda: client.recommend(session_id).degraded, lambda d: d == (), "Redis back")


def test_a_stopped_server_comes_back_from_its_snapshot(stack, client, producer):
    """SIGTERM drains and snapshots; the next start reads it, and the log's rest."""
    session_id = fresh("restart")
    client.put_events(views(session_id, ["a", "b"]))
    eventually(lambda: client.recommend(session_id), lambda a: a.session_version == 2, "clicks")
    clicks = apps.server_status(stack.ports)["clicks"]
    process.stop([stack.child("server")], grace_s=60)
    snapshots = list((stack.home.root / "server").glob("snapshot-*"))
    assert snapshots
    event = Event("view", "c", now_ms(), session_id=session_id)
    producer.produce("events", encode_event(event), session_id)
    producer.flush()
    server = apps.start_server(stack.home, stack.ports, bound=True)
    stack.replace("server", server)
    apps.wait_serving(stack.home, stack.ports, server)
    log = stack.home.log("server").read_text()
    assert f"read {max(snapshots)}" in log
    answer = eventually(
        lambda: client.recommend(session_id), lambda a: a.session_version == 3, "the third click"
    )
    assert answer.source == "session"
    assert apps.server_status(stack.ports)["clicks"] == clicks + 1


def test_a_killed_server_rebuilds_itself(stack, client):
    """Without a fresh snapshot the log says it all."""
    session_id = fresh("crash")
    client.put_events(views(session_id, ["a", "b"]))
    eventually(lambda: client.recommend(session_id), lambda a: a.session_version == 2, "clicks")
    before = apps.server_status(stack.ports)
    process.kill(stack.child("server"))
    server = apps.start_server(stack.home, stack.ports, bound=True)
    stack.replace("server", server)
    apps.wait_serving(stack.home, stack.ports, server)
    assert client.recommend(session_id).session_version == 2
    after = apps.server_status(stack.ports)
    assert after["sessions"] == before["sessions"]


def test_waiting_puts_do_not_hold_up_answers(stack, client):
    """With the broker stopped, events wait for it; answers do not."""
    session_id = fresh("stall")
    client.put_events(views(session_id, ["a"]))
    eventually(lambda: client.recommend(session_id), lambda a: a.session_version == 1, "the click")
    with process.paused(stack.child("kafka")):
        with Client(stack.target, timeout_s=2) as impatient:
            try:
                accepted = impatient.put_events(views(session_id, ["b"])).accepted
            except NextclickError:
                accepted = 0
        answer = client.recommend(session_id)
    assert accepted == 0
    assert answer.session_version == 1
    eventually(
        lambda: client.put_events(views(session_id, ["c"])), lambda r: r.accepted == 1, "Kafka back"
    )
