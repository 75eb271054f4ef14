"""Jobs go to another Flink with a savepoint, and go on there: the same sessions, nothing lost."""

import json
import os
import sys
import uuid
import venv
import zlib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from confluent_kafka import Producer

from cli.bench.learning import put
from cli.stack import flink, flink_rest, job_packages, kafka, topics
from cli.stack.flink_settings import cluster_settings, job_settings
from cli.stack.layout import FLINK_JARS, Home, Ports
from cli.stack.process import stop
from nextclick import Event, encode_event
from nextclick.topics import DEAD_LETTERS, EVENTS, PRODUCER_CONFIG, RANKER, SESSIONS, topic
from nextclick.v1.learning_pb2 import LearnerState
from nextclick.v1.session_pb2 import SessionRecord
from tests.command import run
from tests.integration.conftest import Reader, eventually
from tests.integration.test_path import now_ms

JOBS_OF = {"image": ("sessions", "vectors"), "send": ("sessions",)}
"""Jobs that move, by where the other cluster has the packages from."""

NAMES = [f"s{n}" for n in range(200)]


@pytest.fixture
def tenant(stack):
    """Topics of a tenant of its own: the stack's jobs stay where they are."""
    name = f"moved{uuid.uuid4().hex[:6]}"
    topics.create(kafka.admin_client(stack.kafka_settings), name)
    return name


@pytest.fixture
def interpreter(packages, tmp_path):
    """The other cluster's interpreter: one that has all, or one that has what Flink needs only."""
    if packages == "image":
        return Path(sys.executable)
    folder = tmp_path / "bare"
    venv.create(folder, symlinks=True)
    [site] = folder.glob("lib/python*/site-packages")
    for name in job_packages.closure([job_packages.FLINK]):
        held = distribution(name)
        for top in {part.parts[0] for part in held.files}:
            if not (site / top).exists():
                (site / top).symlink_to(held.locate_file(top))
    return folder / "bin" / "python"


@pytest.fixture
def other(packages, interpreter, tmp_path, monkeypatch):
    """A Flink that knows nothing of us: neither its settings, nor its jars, nor its folder."""
    home, ports = Home(tmp_path / "other"), Ports.free()
    settings = cluster_settings(home, ports)
    for name in job_settings("", "", python=""):
        del settings[name]
    flink.prepare(home, settings)
    for jar in FLINK_JARS.glob("*.jar"):
        home.path("flink", "lib").joinpath(jar.name).unlink()
    env = flink.environment(home)
    env |= {"VIRTUAL_ENV": str(interpreter.parents[1])}
    env |= {"PATH": f"{interpreter.parent}{os.pathsep}{env['PATH']}"}
    if packages == "send":
        env |= {"PYTHONPATH": ""}
    with monkeypatch.context() as patch:
        patch.setattr(flink, "environment", lambda _: env)
        children = [
            flink.start_jobmanager(home, bound=True),
            *(
                flink.start_taskmanager(home, number, bound=True)
                for number, _ in enumerate(JOBS_OF[packages], 1)
            ),
        ]
    flink.wait(home, ports, children)
    yield f"127.0.0.1:{ports.flink}"
    stop(children)


class Clicks:
    """Clicks of many sessions, and what the jobs have made of them."""

    def __init__(self, servers, tenant):
        self._producer = Producer({**PRODUCER_CONFIG, "bootstrap.servers": servers})
        self._events = topic(EVENTS, tenant)
        self._sessions, self._dead, self._models = (
            Reader(servers, topic(name, tenant), from_beginning=True)
            for name in (SESSIONS, DEAD_LETTERS, RANKER)
        )
        self.sent = ""
        self.lives = {}

    def send(self, item):
        """Let every session click on an item."""
        for name in NAMES:
            event = Event("view", item, now_ms(), session_id=name, event_id=f"{name}-{item}")
            put(self._producer, self._events, name, encode_event(event))
        self._producer.flush()
        self.sent += "" if item in self.sent else item

    def newest(self):
        """The newest record of each session."""
        records = {}
        for message in self._sessions.read():
            record = SessionRecord.FromString(message.value())
            assert record.version >= getattr(records.get(record.session_id), "version", 0)
            records[record.session_id] = record
        return records

    def wait(self, duplicates=0):
        """Wait until all is in the sessions: each click once, in the same life as before."""

        def whole():
            records = self.newest().values()
            done = [r for r in records if "".join(s.item_id for s in r.steps) == self.sent]
            return len([r for r in done if r.duplicates == duplicates])

        eventually(whole, lambda n: n == len(NAMES), f"the clicks on {self.sent}")
        assert all(r.version == r.applied == len(self.sent) for r in self.newest().values())
        lives = {name: record.incarnation for name, record in self.newest().items()}
        self.lives = self.lives or lives
        assert self.lives == lives
        assert self._dead.read() == []

    def wait_learned(self):
        """Wait until the vectors have learned each click once, and went on counting."""
        checksum = sum(
            zlib.crc32(f"{name}#{seq}".encode())
            for name in NAMES
            for seq in range(1, len(self.sent) + 1)
        )

        def states():
            return [LearnerState.FromString(m.value()) for m in self._models.read()]

        eventually(states, lambda all_: all_ and all_[-1].checksum == checksum, "the vectors")
        assert states()[-1].applied == len(NAMES) * len(self.sent)
        versions = [state.version for state in states()]
        assert versions == sorted(versions)


@pytest.mark.long
@pytest.mark.parametrize("packages", JOBS_OF)
def test_jobs_go_on_on_another_flink(stack, tenant, packages, interpreter, other, tmp_path):
    """Moved to a cluster without our jars, settings or packages, they go on where they were."""
    clicks, jobs = Clicks(stack.kafka, tenant), JOBS_OF[packages]
    states = tmp_path / "states"
    here = ("--home", str(stack.home.root), "--tenant", tenant, "--json")
    there = ("--flink", other, "--tenant", tenant, "--states", states.as_uri(), "--json")

    def jobs_command(verb, name, *words):
        done = run("jobs", verb, name, *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    with stack.more_taskmanagers(len(jobs)):
        for name in jobs:
            jobs_command("submit", name, *here)
        clicks.send("a")
        clicks.wait()
        saved = {name: jobs_command("stop", name, *here)["savepoint"] for name in jobs}
    clicks.send("b")
    clicks.send("a")  # once more: who has forgotten its event ids would apply it
    for name in jobs:
        words = ("--kafka", stack.kafka, "--from", Path(saved[name]).as_uri())
        how = ("--packages", packages, "--python", str(interpreter))
        job_id = jobs_command("submit", name, *there, *words, *how)["job_id"]
    clicks.wait(duplicates=1)
    whole = eventually(
        lambda: flink_rest.rest(other, f"jobs/{job_id}/checkpoints")["latest"]["completed"],
        bool,
        "a checkpoint, which the cluster itself would never take",
    )
    assert f"{states}/checkpoints/{tenant}.{jobs[-1]}/" in whole["external_path"]
    clicks.send("c")
    clicks.wait(duplicates=1)
    if "vectors" in jobs:
        clicks.wait_learned()
    for name in jobs:
        savepoint = jobs_command("stop", name, *there)["savepoint"]
        assert f"{states}/savepoints/{tenant}.{name}/" in savepoint
