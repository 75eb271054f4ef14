"""What `nextclick status` says of the parts and of the learners."""

from cli import status
from cli.stack import flink_rest, lag
from cli.stack.layout import Child, Home, Ports
from cli.stack.stack import Stack
from cli.status import learned
from streaming.jobs.registry import JOBS
from tests.unit.cli.kafka_of_groups import KafkaOfGroups
from tests.unit.documented_figures import explained


def test_the_share_of_the_ranker_counts_what_never_reached_it():
    """All examples that it got may be learned, while most clicks made none."""
    learner = {"applied": 60, "passed_over": 10, "sampling": False}
    assert learned(learner, {}) == {"share": 1 - 10 / 60, "sampling": False}
    before = {"passed_over": 40, "sampling": True}
    assert learned(learner, before) == {"share": 0.5, "sampling": True}


def test_a_learner_that_has_got_nothing_has_no_share():
    """The stack has just started, or its server does not answer."""
    assert learned({}, {}) == {"share": None, "sampling": False}


def test_what_a_task_has_passed_over_is_that_of_its_own_operator(monkeypatch):
    """All tasks run as one job; a run that has just started has no metrics yet."""
    vertices = [
        {"id": "1", "name": "Source: vectors-input"},
        {"id": "2", "name": "learn-vectors -> vectors: Writer"},
        {"id": "3", "name": "learn-ranker -> ranker: Writer"},
    ]
    answers = {
        "jobs/f": {"vertices": vertices},
        "jobs/f/vertices/2/subtasks/metrics?get=learn-vectors.refused": [
            {"id": "learn-vectors.refused", "min": 3.0, "max": 4.0, "avg": 3.5, "sum": 7.0}
        ],
        "jobs/f/vertices/3/subtasks/metrics?get=learn-ranker.refused": [],
    }
    monkeypatch.setattr(flink_rest, "rest", lambda _, path: answers.get(path))
    assert flink_rest.refused(Ports(), "f", "learn-vectors") == 7
    assert flink_rest.refused(Ports(), "f", "learn-ranker") == 0
    assert flink_rest.refused(Ports(), "gone", "learn-vectors") == 0


def test_the_lag_of_a_job_is_that_of_all_its_topics(monkeypatch, tmp_path):
    """With all of `sessions` unread, the score job was said to be up to date."""
    kafka = KafkaOfGroups()
    held = {"events": 3, "sessions": 5, "items": 7, "examples": 11, "impressions": 13, "users": 19}
    for name, records in {**held, "commands": 17}.items():
        for n in range(records):
            kafka.write(name, n % 4)
    kafka.read("score-job", "impressions")
    kafka.read("vectors-job", "sessions")
    kafka.read("session-store", "sessions")
    for n in range(6):
        kafka.write("sessions", n % 4)
    kafka.delete_oldest("events", 1)
    unread = {"sessions": 3 - 1, "profiles": 19, "vectors": 6 + 7 + 17, "ranker": 11 + 17}
    unread["score"] = 5 + 6
    assert set(unread) == {part.name for job in JOBS.values() for part in job.parts}

    monkeypatch.setattr(lag, "Consumer", kafka.consumer)
    monkeypatch.setattr(status.apps, "server_status", lambda _: {})
    monkeypatch.setattr(status.apps, "emitter_status", lambda _: {})
    monkeypatch.setattr(status.flink_rest, "restarts", lambda *_: 0)
    monkeypatch.setattr(status.flink_rest, "refused", lambda *_: 0)
    running = [{"jid": name, "name": name, "state": "RUNNING"} for name in ("sessions", "learners")]
    monkeypatch.setattr(status.flink_rest, "jobs", lambda _: running)
    stack = Stack(Home(tmp_path), Ports.free(), bound=False)
    stack.children = [Child("store", 0, 0.0)]
    stack.jobs = {"sessions": "sessions", "learners": "learners"}
    said = status.describe(stack)
    for row in said["parts"] + said["models"]:
        assert set(row) <= explained()
    assert status.describe(stack, "shop")["parts"] == []
    found = {part["name"]: part["lag"] for part in said["parts"]}
    assert found == {"store": 6, **{f"job {name}": records for name, records in unread.items()}}


def test_the_status_of_a_tenant_is_of_its_own_jobs_and_topics(monkeypatch, tmp_path):
    """The lag of one shop was that of another, and its server's models were shown as its own."""
    kafka = KafkaOfGroups()
    for name in ("events", "shop.events", "shop.events"):
        kafka.write(name, 1)
    monkeypatch.setattr(lag, "Consumer", kafka.consumer)
    monkeypatch.setattr(status.apps, "server_status", lambda _: {})
    monkeypatch.setattr(status.apps, "emitter_status", lambda _: {})
    monkeypatch.setattr(status.flink_rest, "restarts", lambda *_: 0)
    monkeypatch.setattr(status.flink_rest, "refused", lambda *_: 0)
    names = ("sessions", "shop.sessions", "shop2.sessions")
    running = [{"jid": name, "name": name, "state": "RUNNING"} for name in names]
    monkeypatch.setattr(status.flink_rest, "jobs", lambda _: running)
    for own, other in (("", "shop"), ("shop", "")):
        stack = Stack(Home(tmp_path), Ports.free(), bound=False, tenant=own)
        stack.children = [Child("kafka", 0, 0.0), Child("server", 0, 0.0)]
        stack.jobs = {name: name for name in names}
        lags = {"": 1, "shop": 2}
        for tenant, parts in ((own, {"kafka", "server"}), (other, {"kafka"})):
            said = status.describe(stack, tenant)
            found = {part["name"]: part["lag"] for part in said["parts"]}
            read = {"job sessions": lags[tenant], "job profiles": 0}
            assert found == dict.fromkeys(parts) | read
            assert bool(said["models"]) is (tenant == own)
