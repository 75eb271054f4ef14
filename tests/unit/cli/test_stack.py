"""The stack's bookkeeping: ports, jobs, the file that says what runs."""

import os
import socket
import subprocess
import sys
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from cli.errors import CommandError
from cli.stack import apps, flink, flink_rest, kafka
from cli.stack.flink_settings import cluster_settings
from cli.stack.layout import FLINK_METRICS_PORTS, Child, Home, Ports
from cli.stack.process import find, spawn, stop, tail, wait_until
from cli.stack.stack import Stack
from tests.command import ENVIRONMENT

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def test_free_ports_are_different():
    """Two parts on one port would be one part."""
    ports = Ports.free(flink_metrics=True)
    values = [getattr(ports, name) for name in ports.__dataclass_fields__]
    assert len(set(values)) == len(values)
    ports.check()


def test_a_broker_that_does_not_answer_yet_prints_nothing(tmp_path):
    """Each start printed lines of Kafka's client beside what `up` says."""
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        program = (
            "from cli.stack.kafka import ready\n"
            "from pathlib import Path\n"
            "from cli.stack.layout import Home, Ports\n"
            f"home = Home(Path({str(tmp_path)!r}))\n"
            f"print(ready(home, Ports(kafka={closed.getsockname()[1]})))"
        )
        argv = [sys.executable, "-c", program]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_free_ports_leave_room_for_further_workers(monkeypatch):
    """Worker i has the HTTP port + i: another part there would be one that cannot start.

    Nor would there be metrics of a part of Flink without a port for its reporter.
    """
    drawn = [port for first in range(20_000, 24_000, 100) for port in range(first, first + 20)]
    monkeypatch.setattr("cli.stack.layout.random.sample", lambda *_: drawn)
    ports = Ports.free(workers=3, flink_metrics=True)
    drawn_first = {getattr(ports, name) for name in ports.__dataclass_fields__}
    rows = (ports.http, 3), (ports.flink_metrics, FLINK_METRICS_PORTS)
    for first, n in rows:
        assert not drawn_first & set(range(first + 1, first + n))
    assert Ports.free().flink_metrics == 0


def test_no_other_process_draws_the_same_ports(monkeypatch):
    """Two stacks that start at once had one port now and then, and one of them failed."""
    drawn = [*range(24_000, 25_000)]
    monkeypatch.setattr("cli.stack.layout.random.sample", lambda *_: drawn)
    ours = set(_free().values())
    program = (
        "import dataclasses, cli.stack.layout as layout\n"
        f"layout.random.sample = lambda *_: {drawn}\n"
        "print(*dataclasses.astuple(layout.Ports.free(flink_metrics=True)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not ours & set(map(int, done.stdout.split()))


def test_a_taken_port_is_named_with_the_option_to_change_it():
    """'Address in use' from the depth of Kafka's log helps nobody."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"port {port} .redis. is taken.*--redis-port"):
            Ports(**{**_free(), "redis": port}).check()


def _free():
    ports = Ports.free(flink_metrics=True)
    return {name: getattr(ports, name) for name in ports.__dataclass_fields__}


def test_no_cluster_id_looks_like_an_option(monkeypatch):
    """Kafka's formatter takes no value that begins with `-`: one start in 64 would fail."""
    drawn = [uuid.UUID(bytes=bytes([first]) + bytes(15)) for first in (0xF8, 0xFB, 0xFC)]
    monkeypatch.setattr(kafka.uuid, "uuid4", iter(drawn).__next__)
    assert kafka.new_cluster_id() == "_" + "A" * 21


def test_a_part_runs_once_it_is_recorded(home):
    """And its pid is that of the program, whose input is empty."""
    code = "import os, sys, time; print(os.getpid(), repr(sys.stdin.read())); time.sleep(600)"
    stack = Stack(home, Ports.free(), bound=False)
    child = spawn("part", [sys.executable, "-u", "-c", code], home.log("part"), {}, bound=False)
    assert stack._add(child) == child
    assert home.read().children == [child]
    wait_until(lambda: tail(home.log("part")) == f"{child.pid} ''", 60, "the part's output")
    stop([child])


def test_a_part_that_cannot_be_recorded_is_ended(home, monkeypatch):
    """On a full disk, a part that is nowhere recorded would hold its port for ever."""
    stack = Stack(home, Ports.free(), bound=False)
    child = spawn("part", SLEEP, home.log("part"), {}, bound=False)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stack.home, "edit", full)
    with pytest.raises(OSError, match="No space"):
        stack._add(child)
    assert find(child) is None
    assert stack.children == []


def test_what_runs_is_written_down_and_read_again(home):
    """`status` and `down` are other processes than `up`."""
    me = psutil.Process()
    child = Child("me", me.pid, me.create_time())
    ports = Ports.free()
    with home.edit(ports) as running:
        running.put(child)
        running.jobs["sessions"] = "f" * 32
    stack = Stack.running(home)
    assert (stack.ports, stack.children, stack.jobs) == (ports, [child], {"sessions": "f" * 32})
    home.forget()
    assert Stack.running(home) is None


def test_a_file_left_by_a_crash_is_no_running_stack(home):
    """After a power cut the next `up` must work."""
    with home.edit(Ports()) as running:
        running.put(Child("gone", os.getpid(), 1.0))
    assert Stack.running(home) is None
    (home.root / "stack.json").write_text("{broken")
    assert Stack.running(home) is None


def test_a_stack_of_the_version_before_is_found(home):
    """Its example emitter was called follower; `down` must end it all the same."""
    me = psutil.Process()
    child = Child("follower", me.pid, me.create_time())
    with home.edit(Ports()) as running:
        running.put(child)
    file = home.root / "stack.json"
    file.write_text(file.read_text().replace("emitter_http", "follower_http"))
    stack = Stack.running(home)
    assert (stack.ports, stack.children) == (Ports(), [child])


def test_the_emitter_goes_on_with_the_data_of_the_version_before(home, monkeypatch):
    """Without its snapshot it would write examples of the whole log again."""
    (home.path("follower") / "snapshot").write_text("learned")
    monkeypatch.setattr(apps, "spawn", lambda name, *_, **__: Child(name, 1, 0.0))
    for _ in range(2):
        assert apps.start_emitter(home, Ports(), bound=True).name == "emitter"
        assert (home.root / "emitter" / "snapshot").read_text() == "learned"
        assert not (home.root / "follower").exists()


def test_changes_of_the_record_do_not_overwrite_each_other(home):
    """The supervisor and `jobs submit` both write it: a lost part would run for ever."""
    ports = Ports.free()
    names = [f"part{n}" for n in range(40)]

    def put(name):
        with home.edit(ports) as running:
            running.put(Child(name, 1, 0.0))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, names))
    put("part7")
    assert sorted(child.name for child in home.read().children) == sorted(names)


def test_one_process_has_the_right_to_start_parts(home):
    """Two `up` at once would start two sets of parts; whoever is killed gives the right back."""
    code = (
        "import sys, time; from pathlib import Path; from cli.stack.layout import Home\n"
        "print(Home(Path(sys.argv[1])).lock(), flush=True); time.sleep(600)"
    )
    argv = [sys.executable, "-c", code, str(home.root)]
    other = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    other.stdout.readline()
    stack = Stack(home, Ports.free(), bound=True)
    with pytest.raises(CommandError, match=r"runs in .* already"):
        stack.start()
    other.kill()
    other.wait()
    assert isinstance(stack.claim(), int)


def test_parts_without_a_supervisor_are_not_taken_for_a_new_stack(home):
    """`up` on other ports beside them would be a second set on the same data."""
    me = psutil.Process()
    with home.edit(Ports()) as running:
        running.put(Child("me", me.pid, me.create_time()))
    for bound in (True, False):
        with pytest.raises(CommandError, match=r"without a supervisor.*`nextclick down`"):
            Stack(home, Ports(grpc=1), bound=bound).start()
        assert Stack.running(home) is not None


def test_a_failed_start_ends_what_it_started(home, monkeypatch):
    """An error, or Ctrl-C, in mid-start leaves no process."""
    stack = Stack(home, Ports.free(), bound=True)
    started = []

    def half_started(*_):
        started.append(stack._add(spawn("half", SLEEP, home.log("half"), {}, bound=True)))
        raise KeyboardInterrupt

    monkeypatch.setattr(stack, "_start", half_started)
    with pytest.raises(KeyboardInterrupt):
        stack.start()
    assert find(started[0]) is None
    assert Stack.running(home) is None


@pytest.mark.parametrize(
    "theirs", ["flink/lib/flink-dist.jar", "logs/access.log", "scratch/kafka/x"]
)
def test_a_start_leaves_the_files_of_others_alone(tmp_path, theirs):
    """`up --home /opt` deleted the jars of /opt/flink; others' logs went when they were large."""
    file = tmp_path / theirs
    file.parent.mkdir(parents=True)
    file.write_text("theirs")
    with pytest.raises(CommandError, match=f"a folder '{theirs.split('/')[0]}' that .* another --"):
        Home(tmp_path).take()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]


def test_a_folder_is_taken_again_and_beside_what_does_not_matter(tmp_path):
    """The data of `nextclick serve` lie in the same folder; so did those of the version before."""
    home = Home(tmp_path)
    home.path("server")
    home.take()
    home.path("logs")
    home.take()
    before = Home(tmp_path / "before")
    (before.path("kafka", "data") / "meta.properties").touch()
    before.path("flink")
    before.take()
    new = Home(tmp_path / "new")
    new.take()
    assert new.lock() is not None


def test_rocksdb_gets_its_memory_from_that_of_the_heap(home, monkeypatch):
    """A TaskManager takes as much as it did, or the machine runs out of memory."""
    by_backend = {}
    for backend in ("heap", "rocksdb"):
        monkeypatch.setenv("NEXTCLICK_STATE_BACKEND", backend)
        by_backend[backend] = cluster_settings(home, Ports())["taskmanager"]["memory"]
    assert by_backend["rocksdb"]["managed"] != by_backend["heap"]["managed"]
    assert by_backend["rocksdb"]["process"] == by_backend["heap"]["process"]


def test_flinks_metrics_are_exported_where_they_are_asked_for(home):
    """Its reporter listens on all interfaces, so not unasked; a wrong class, Flink only logs."""
    assert "metrics" not in cluster_settings(home, Ports())
    settings = cluster_settings(home, Ports(flink_metrics=9249))["metrics"]
    reporter = settings["reporter"][settings["reporters"]]
    assert reporter["port"] == "9249-9256"
    [jar] = flink.flink_home().glob("plugins/metrics-prometheus/*.jar")
    with zipfile.ZipFile(jar) as classes:
        assert classes.getinfo(reporter["factory"]["class"].replace(".", "/") + ".class")


def test_a_killed_taskmanager_leaves_no_files_behind(home, monkeypatch):
    """RocksDB keeps the whole state there: a kill a day would fill the disk."""
    monkeypatch.setattr(flink, "spawn", lambda name, *_, **__: Child(name, 1, 0.0))
    mine, other = (home.path("scratch", f"taskmanager-{n}", "abc") for n in (1, 2))
    flink.start_taskmanager(home, 1, bound=True)
    assert not mine.exists()
    assert other.exists()


def test_a_job_that_runs_unrecorded_is_not_submitted_again(home, monkeypatch):
    """Who is killed just after a submission leaves no record: the next `up` began a second copy."""
    stack = Stack(home, Ports.free(), bound=True)
    known = [
        {"jid": "1", "name": "sessions", "state": "FAILED"},
        {"jid": "2", "name": "sessions", "state": "RESTARTING"},
        {"jid": "3", "name": "learners", "state": "CANCELED"},
        {"jid": "4", "name": "score", "state": "RUNNING"},
    ]
    monkeypatch.setattr(flink_rest, "jobs", lambda _: known)
    submitted = []
    monkeypatch.setattr(stack, "submit", lambda name, **how: submitted.append((name, how)))
    for name, recorded in (("sessions", "1"), ("learners", "3")):
        stack.remember_job(name, recorded)
    stack._submit_missing(from_nothing=True)
    assert submitted == [("learners", {"from_nothing": True})]
    assert stack.jobs == home.read().jobs == {"sessions": "2", "learners": "3"}


def test_a_job_that_flink_refuses_is_told_with_its_reason_alone(home, tmp_path, monkeypatch):
    """Its client prints a hundred lines of Java, of which one says why; all of them are kept."""
    client = tmp_path / "bin" / "flink"
    client.parent.mkdir()
    trace = "Exception: no\n\tat org.Flink(F.java:1)\nCaused by: java.io.IOException: no slots"
    client.write_text(f"#!/bin/sh\necho '{trace}' >&2\nexit 1\n")
    client.chmod(0o755)
    monkeypatch.setattr(flink, "flink_home", lambda: tmp_path)
    monkeypatch.setattr(flink, "environment", lambda _: {})
    with pytest.raises(CommandError) as failed:
        flink.submit(home, flink.job_named("sessions"))
    log = home.log("submission-sessions")
    assert str(failed.value) == (
        "Flink has not accepted the job sessions: java.io.IOException: no slots; all that it said "
        f"is in {log}"
    )
    assert "at org.Flink" in log.read_text()
