"""A learner that is late on real Kafka and Flink: it learns a sample, and all is accounted for."""

import json
import time
import uuid

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from cli.stack import flink, flink_rest, process
from nextclick.limits import MAX_LEARNER_LATE_MS
from nextclick.topics import SESSIONS, TOPICS, topic
from nextclick.v1 import learning_pb2 as pb
from nextclick.v1.session_pb2 import SessionRecord
from records.checksum import add_click
from streaming.jobs.registry import JOBS
from tests.command import run as run_cli
from tests.integration.conftest import Reader, eventually
from tests.integration.test_path import fresh, views
from tests.unit.streaming.test_late_learners import recounted

LATE_MS = MAX_LEARNER_LATE_MS + 20_000
FIRST_MS = 1_700_000_000_000
SENT_AT_ONCE = 20
"""Sessions of two clicks: so few that the learner is late only because the clicks are old."""


@pytest.mark.long
def test_a_late_learner_that_is_killed_accounts_for_every_click(stack, producer):
    """Learned and passed over together are what was sent, and anyone can recount who was which."""
    tenant = f"late{uuid.uuid4().hex[:6]}"
    # The senders' times instead of the broker's: clicks may have arrived long ago.
    old = {"message.timestamp.type": "CreateTime"}
    new = [NewTopic(topic(t.name, tenant), 4, 1, config=t.config | old) for t in TOPICS.values()]
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    for done in admin.create_topics(new).values():
        done.result(30)
    clicks = []

    def send(late_ms):
        arrived_ms = int(1_000 * time.time()) - late_ms
        # Sessions begin one after another, however late their records are.
        began_ms = FIRST_MS + len(clicks)
        sessions = [
            SessionRecord(session_id=f"s{len(clicks) // 2 + n}", incarnation=began_ms)
            for n in range(SENT_AT_ONCE)
        ]
        for seq in (1, 2):
            for n, session in enumerate(sessions):
                session.version = seq
                session.appended_ms = began_ms + seq
                session.steps.add(item_id=f"i{(n + seq) % 30}", seq=seq, appended_ms=began_ms + seq)
                name, value = session.session_id, session.SerializeToString()
                producer.produce(topic(SESSIONS, tenant), value, name, timestamp=arrived_ms)
                clicks.append((name, began_ms, seq, began_ms + seq))
        producer.flush()

    reader = Reader(stack.kafka, topic("ranker", tenant), from_beginning=True)
    newest = pb.LearnerState()

    def state():
        for message in reader.read()[state.read :]:
            state.read += 1
            newest.ParseFromString(message.value())
        return newest

    state.read = 0

    def sent_until(late_ms, accept, what):
        def look():
            send(late_ms)
            return state()

        return eventually(look, accept, what)

    def sampling(state):
        return bool(state.sampled) and state.sampled[-1].until_incarnation == 0

    with stack.more_taskmanagers() as (name,):
        job = flink.submit(stack.home, JOBS["vectors"], "--kafka", stack.kafka, "--tenant", tenant)
        try:
            sent_until(0, lambda s: s.applied > 0, "the learner moves")
            assert not sampling(state())
            before = sent_until(LATE_MS, sampling, "it samples").passed_over
            sent_until(LATE_MS, lambda s: s.passed_over > before + 100, "it passes over sessions")
            killed_ms = 1_000 * time.time()
            process.kill(stack.child(name))
            stack.replace(name, flink.start_taskmanager(stack.home, 3, bound=True))
            sent_until(
                LATE_MS,
                lambda s: s.timestamp_ms > killed_ms and s.passed_over > before + 300,
                "it goes on with that after it was killed",
            )
            sent_until(0, lambda s: not sampling(s), "in time again, it learns all")
            learned = state().learned
            sent_until(0, lambda s: s.learned >= learned + 2 * SENT_AT_ONCE, "all of a round")
            end = eventually(state, lambda s: s.applied >= len(clicks), "all is applied")
        finally:
            flink_rest.cancel(stack.ports, job)
            reader.close()
    checksum = 0
    for session_id, _, seq, _ in clicks:
        checksum = add_click(checksum, session_id, seq)
    assert (end.applied, end.checksum) == (len(clicks), checksum)
    assert (end.passed_over, end.passed_over_checksum) == recounted(end, clicks)
    assert end.learned == end.applied - end.passed_over


def test_status_says_which_share_of_the_clicks_is_learned(stack, client):
    """An operator must see that quality was given up for speed, and also that it was not."""
    client.put_events(views(fresh("share"), ["a", "b", "c"]))

    def vectors():
        done = run_cli("status", "--home", str(stack.home.root), "--json")
        return {m["name"]: m for m in json.loads(done.stdout)["models"]}["vectors"]

    said = eventually(  # it may be late yet after the tests before
        vectors,
        lambda m: m["applied"] and m["share"] is not None and not m["sampling"],
        "a share, and no sampling",
    )
    assert said["share"] == 1 - said["passed_over"] / said["applied"]
    assert (said["passed_over"] > 0) == (said["passed_over_checksum"] > 0)
