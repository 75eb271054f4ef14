"""`nextclick up`: whatever is killed comes back by itself, and no click is lost or doubled."""

import threading
import time
import uuid
import zlib
from collections import Counter

import pytest
import redis
from confluent_kafka import Consumer, Producer

from cli.bench.freshness import ends
from cli.live.ledger import Ledger
from cli.stack import apps, job_state
from cli.stack.layout import Home
from cli.stack.parts import STANDBY, SUPERVISOR, TASKMANAGERS
from cli.stack.stack import STARTED_JOBS, Stack
from nextclick import Client, Event, encode_event
from nextclick.topics import (
    PRODUCER_CONFIG,
    partitions,
    redis_profile_key,
    redis_session_key,
)
from nextclick.v1.learning_pb2 import Example, LearnerState
from nextclick.v1.profile_pb2 import Profile
from nextclick.v1.session_pb2 import SessionRecord
from settings.kafka import KafkaSettings
from tests.command import run
from tests.help_examples import words_of
from tests.integration.conftest import LIMIT_S, Reader, eventually
from tests.recovery.shop import Shop

CLICKS_A_SECOND = 50
CLICKS_A_SESSION = 5
USERS = 7
"""Each begins another session while those of the others go on."""

AWAY_S = 30.0
"""The longest that a killed part may be away, on a machine that does nothing else."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    shop = Shop(Home(tmp_path_factory.mktemp("shop") / "home"))
    done = shop.up()
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("starts from nothing") == len(STARTED_JOBS)
    assert {SUPERVISOR, STANDBY} <= shop.alive(), "any part may die from now on"
    yield shop
    if Stack.running(shop.home):
        shop.down()
    assert Stack.running(shop.home) is None


class Clicks:
    """Clicks that flow from a thread; the producer repeats what the broker has not acknowledged."""

    def __init__(self, ports):
        config = {"bootstrap.servers": f"127.0.0.1:{ports.kafka}", "message.timeout.ms": 600_000}
        self._producer = Producer({**PRODUCER_CONFIG, **config})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._run = uuid.uuid4().hex[:6]
        self.sent = 0

    def _send(self):
        while not self._stop.wait(1 / CLICKS_A_SECOND):
            session_id = self.session(self.sent)
            event = Event(
                "view",
                f"i{self.sent % 97}",
                int(time.time() * 1000),
                session_id=session_id,
                user_id=self.user(self.sent),
                event_id=f"{self._run}-{self.sent}",
            )
            self._producer.produce("events", encode_event(event), session_id)
            self._producer.poll(0)
            self.sent += 1

    def session(self, number):
        return f"{self._run}-{number // CLICKS_A_SESSION}"

    def user(self, number):
        return f"{self._run}-u{number // CLICKS_A_SESSION % USERS}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        assert self._producer.flush(LIMIT_S) == 0


def reflected(shop, clicks):
    """Wait until an answer reflects a click that is sent from now on."""
    number = (clicks.sent // CLICKS_A_SESSION + 2) * CLICKS_A_SESSION
    with Client(f"127.0.0.1:{shop.ports.grpc}", timeout_s=60) as client:

        def version():
            try:
                return client.recommend(clicks.session(number)).session_version
            except Exception:  # the server may be what was killed
                return 0

        eventually(version, lambda v: v >= 1, "an answer that reflects a new click")


def told_once(shop, clicks):
    """Wait until each user's profile has each click of each session, in Redis and in the server.

    A session is in a profile once the next one begins: each user begins one more.
    """
    steps = Counter(clicks.user(number) for number in range(clicks.sent))
    sessions = Counter(map(clicks.user, range(0, clicks.sent, CLICKS_A_SESSION)))
    expected = {user: (steps[user], sessions[user]) for user in steps}
    assert len(expected) == USERS
    store = redis.Redis(port=shop.ports.redis)
    with Client(f"127.0.0.1:{shop.ports.grpc}", timeout_s=60) as client:
        now = int(time.time() * 1000)
        client.put_events(
            [Event("view", "i0", now, session_id=f"{user}-end", user_id=user) for user in steps]
        )

        def in_redis():
            raw = {user: store.hget(redis_profile_key(user), "record") for user in steps}
            found = {user: Profile.FromString(record or b"") for user, record in raw.items()}
            return {user: (profile.steps, profile.sessions) for user, profile in found.items()}

        def in_server():
            told = client.get_profiles(list(steps))
            return {one.user_id: (one.steps, one.sessions) for one in told}

        for where in (in_redis, in_server):
            what = f"each click in a profile once, {where.__name__}: {expected}"
            eventually(where, lambda found: found == expected, what)


def test_every_killed_part_comes_back_by_itself_and_no_click_is_lost(shop):
    """README: kill any part."""
    killed = (
        *("jobmanager", *TASKMANAGERS, "store", "server", "kafka", "redis", apps.EMITTER),
        SUPERVISOR,
    )
    with Clicks(shop.ports) as clicks:
        for name in killed:
            reflected(shop, clicks)
            before = shop.children()
            shop.kill(name)
            eventually(
                lambda n=name, b=before[name].pid: shop.children()[n].pid != b,
                bool,
                f"a new {name}",
            )
            eventually(shop.alive, lambda alive, b=before: alive == set(b), "all parts alive")
            eventually(shop.jobs, lambda jobs: jobs == set(STARTED_JOBS), "all jobs RUNNING")
            eventually(shop.niceness, lambda both: both[0] == both[1], "priorities as before")
        reflected(shop, clicks)
    with Ledger(KafkaSettings(kafka=f"127.0.0.1:{shop.ports.kafka}")) as book:
        book.wait(clicks.sent, LIMIT_S)
        assert (book.applied, book.duplicates, book.dead_lettered) == (clicks.sent, 0, 0)
    learned = lambda: apps.server_status(shop.ports).get("clicks")  # noqa: E731
    eventually(learned, lambda n: n == clicks.sent, "each click learned once")
    store = redis.Redis(port=shop.ports.redis)
    sessions = [clicks.session(n) for n in range(0, clicks.sent, CLICKS_A_SESSION)]

    def steps():
        records = [store.hget(redis_session_key(session_id), "record") for session_id in sessions]
        return sum(SessionRecord.FromString(r).step_count for r in records if r)

    eventually(steps, lambda n: n == clicks.sent, "each click in Redis once")
    told_once(shop, clicks)
    parts = shop.status()
    for name in killed[:-1]:
        assert parts[name]["restarts"] >= 1
        assert parts[name]["state"] in ("UP", "SERVING")
    assert parts["kafka"]["last_exit"].startswith("signal 9")
    assert parts["jobmanager"]["log"]


class Watch:
    """Looks twice a second which parts are alive, and notes how long each killed one was away."""

    def __init__(self, shop):
        self._shop = shop
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._killed: dict[str, tuple[int, float]] = {}
        self.away_s: dict[str, float] = {}

    def kill(self, name):
        pid = self._shop.children()[name].pid
        self._shop.kill(name)
        self._killed[name] = (pid, time.monotonic())

    def _look(self):
        while not self._stop.wait(0.5):
            children, alive = self._shop.children(), self._shop.alive()
            for name, (pid, at) in list(self._killed.items()):
                if name in alive and children[name].pid != pid:
                    self.away_s[name] = time.monotonic() - at
                    del self._killed[name]

    def wait(self, seconds):
        self._stop.wait(seconds)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def names_of(messages):
    """What learners count of records of `sessions` or `examples`: session and place of a click."""
    for m in messages:
        if m.topic() == "examples":
            example = Example.FromString(m.value())
            yield f"{example.session_id}#{example.seq}"
        else:
            record = SessionRecord.FromString(m.value())
            yield from (f"{record.session_id}#{step.seq}" for step in record.steps)


def audit_of(names):
    """Count and checksum that a learner has when it has applied these names once each."""
    return len(names), sum(zlib.crc32(name.encode()) for name in names) % 2**64


@pytest.mark.long
def test_eight_kills_in_three_minutes_lose_nothing(shop):
    """A part every 20 s, in whatever state the others are, and nothing started by hand."""
    killed = (
        *("server", "jobmanager", "redis", SUPERVISOR),
        *("taskmanager-1", "kafka", "store", "emitter"),
    )
    kafka = f"127.0.0.1:{shop.ports.kafka}"
    with Clicks(shop.ports) as clicks:
        reflected(shop, clicks)
        with Watch(shop) as watch:
            for name in killed:
                watch.kill(name)
                watch.wait(20)
            eventually(lambda: watch.away_s, lambda away: set(away) == set(killed), "all back")
        eventually(shop.jobs, lambda jobs: jobs == set(STARTED_JOBS), "all jobs RUNNING")
        reflected(shop, clicks)
    print({name: f"{seconds:.1f} s" for name, seconds in watch.away_s.items()})
    assert max(watch.away_s.values()) <= AWAY_S, watch.away_s
    watermarks = Consumer({"bootstrap.servers": kafka, "group.id": "test"})
    sent = sum(ends(watermarks, "events"))  # those of the tests before, too
    watermarks.close()
    with Ledger(KafkaSettings(kafka=kafka)) as book:
        book.wait(sent, LIMIT_S)
        assert (book.applied, book.duplicates, book.dead_lettered) == (sent, 0, 0)
    logs = {
        name: Reader(kafka, name, from_beginning=True, partitions=len(partitions(name)))
        for name in ("sessions", "examples", "ranker")
    }
    names: dict[str, set[str]] = {"sessions": set(), "examples": set()}
    states: dict[str, LearnerState] = {}

    def audits():
        """What each learner has applied, and what there is to apply."""
        for m in logs["ranker"].read():
            states[m.key().decode()] = LearnerState.FromString(m.value())
        for topic, known in names.items():
            known.update(names_of(logs[topic].read()))
        found = {name: (s.applied, s.checksum) for name, s in states.items()}
        return found, {
            "vectors": audit_of(names["sessions"]),
            "ranker": audit_of(names["examples"]),
        }

    eventually(audits, lambda both: both[0] == both[1], "each click learned once by each learner")
    assert len(names["sessions"]) == sent >= clicks.sent
    for log in logs.values():
        log.close()


def test_parts_without_a_supervisor_are_adopted(shop):
    """Whatever killed both supervisors, the next `up` must not start a second set of parts."""
    before = shop.children()
    shop.kill(STANDBY, SUPERVISOR, "store", "jobmanager")
    eventually(lambda: {STANDBY, SUPERVISOR} & shop.alive(), lambda left: not left, "their end")
    other = run("up", "--home", str(shop.home.root), "--grpc-port", "1")
    assert other.returncode == 1
    assert "nextclick down" in other.stderr
    done = shop.up()
    assert done.returncode == 0, done.stderr
    now = shop.children()
    eventually(shop.alive, lambda alive: alive == set(before), "all parts alive")
    for name in ("kafka", "redis", "server", "emitter"):
        assert now[name] == before[name]
    assert shop.jobs() == set(STARTED_JOBS)
    assert "a stack runs in" in shop.up().stderr


def test_a_job_is_ended_and_submitted_as_the_help_shows(shop):
    """The supervisor leaves it ended; it resumes from the savepoint that the first has named."""
    stopped = run(*words_of(("jobs", "stop")), "--home", str(shop.home.root))
    assert stopped.returncode == 0, stopped.stderr
    eventually(shop.jobs, lambda jobs: jobs == set(STARTED_JOBS) - {"sessions"}, "its end")
    submitted = run(*words_of(("jobs", "submit")), "--home", str(shop.home.root))
    assert submitted.returncode == 0, submitted.stderr
    assert shop.jobs() == set(STARTED_JOBS)
    assert shop.restored("sessions").rpartition("/")[2] in stopped.stdout


@pytest.mark.long
def test_every_start_goes_on_from_the_newest_whole_state(shop):
    """`down`, a crash or a failed start before a run's first checkpoint forgot all before it."""
    for name in STARTED_JOBS:
        eventually(lambda n=name: job_state.newest(shop.home, n), bool, f"a state of {name}")
    for end in (shop.down, lambda: shop.kill(*shop.children())):
        end()
        eventually(lambda: Stack.running(shop.home), lambda s: s is None, "the end of all parts")
        newest = {name: str(job_state.newest(shop.home, name)) for name in STARTED_JOBS}
        done = shop.up()
        assert done.returncode == 0, done.stderr
        assert "from nothing" not in done.stderr
        assert {name: shop.restored(name) for name in STARTED_JOBS} == newest
    shop.down()
    for state in (shop.home.root / "flink" / "checkpoints").glob("*/*/chk-*/_metadata"):
        state.unlink()
    refused = shop.up()
    assert refused.returncode == 1
    assert "--from-nothing" in refused.stderr
    assert Stack.running(shop.home) is None
    done = shop.up("--from-nothing")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("starts from nothing") == len(STARTED_JOBS)
    assert {shop.restored(name) for name in STARTED_JOBS} == {None}
