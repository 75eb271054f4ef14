"""The supervisor starts again what dies, ever later, and says so; jobs come back."""

import itertools
import os
import signal
import sys
import threading

import pytest

from cli.errors import CommandError
from cli.stack import flink, flink_rest, layout, watch_record
from cli.stack.backoff import Backoff
from cli.stack.job_keeper import JobKeeper, Plan, plan
from cli.stack.layout import Home, Ports
from cli.stack.parts import Part
from cli.stack.process import BEHIND, STREAM, find, kill, spawn, stop, wait_until
from cli.stack.stack import LEARNERS, Stack
from cli.stack.supervisor import Supervisor, watch
from cli.status import described

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
TALK = [
    sys.executable,
    "-c",
    "import time\nprint('x' * 6_000, flush=True)\n"
    "while True: time.sleep(0.05); print('later', flush=True)",
]
FAIL = [sys.executable, "-c", "print('no such disk'); raise SystemExit(3)"]


class Clock:
    """Monotonic seconds, moved by hand."""

    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def stack(tmp_path):
    stack = Stack(Home(tmp_path / "home"), Ports.free(), bound=True)
    yield stack
    stop(stack.children)


def part(stack, name, argv, ends_with_it=()):
    """A part that runs a command; it is started now."""
    start = lambda: spawn(name, argv, stack.home.log(name), {}, bound=True)  # noqa: E731
    stack.replace(name, start())
    return Part(start, ends_with_it)


def ended(stack, name):
    wait_until(lambda: find(stack.child(name)) is None, 60, f"the end of {name}")


def test_a_killed_part_is_started_again_and_status_says_so(stack, clock):
    """A dead store, server or broker stayed dead until somebody noticed."""
    parts = {"a": part(stack, "a", SLEEP), "b": part(stack, "b", SLEEP)}
    supervisor = Supervisor(stack, parts, clock)
    supervisor.look()
    before = {name: stack.child(name) for name in parts}
    os.kill(stack.child("a").pid, signal.SIGKILL)
    ended(stack, "a")
    supervisor.look()
    assert find(stack.child("a")) is None, "not at once"
    clock.now += 0.5
    supervisor.look()
    assert stack.child("a").pid != before["a"].pid
    assert find(stack.child("a"))
    assert stack.child("b") == before["b"]
    assert {c.name: c.pid for c in stack.home.read().children} == {
        name: stack.child(name).pid for name in parts
    }
    deaths = watch_record.read(stack.home)
    assert (deaths["a"].restarts, deaths["a"].last_exit) == (1, "signal 9")
    assert "b" not in deaths
    assert described(deaths["a"])["last_exit"].startswith("signal 9 at ")


def test_a_start_is_recorded_before_it_is_made(stack, clock):
    """A supervisor that was killed just after a start left it uncounted."""
    held = part(stack, "a", SLEEP)
    counted = []

    def start():
        counted.append(watch_record.read(stack.home)["a"].restarts)
        return held.start()

    supervisor = Supervisor(stack, {"a": Part(start)}, clock)
    os.kill(stack.child("a").pid, signal.SIGKILL)
    ended(stack, "a")
    supervisor.look()
    clock.now += 0.5
    supervisor.look()
    assert counted == [1]


def test_a_part_that_keeps_dying_is_started_ever_later(stack, clock):
    """A restart takes the cores for seconds: a wrong setting must not take them for ever."""
    supervisor = Supervisor(stack, {"a": part(stack, "a", FAIL)}, clock)
    pauses = []
    for _ in range(4):
        ended(stack, "a")
        supervisor.look()
        died, pid = clock.now, stack.child("a").pid
        while stack.child("a").pid == pid:
            clock.now += 0.25
            supervisor.look()
        pauses.append(clock.now - died)
    assert pauses == [0.5, 1, 2, 4]
    deaths = watch_record.read(stack.home)["a"]
    assert (deaths.restarts, deaths.last_exit) == (4, "exit 3")
    assert "no such disk" in deaths.log


def test_the_next_supervisor_goes_on_with_the_pauses_of_the_one_before(stack, clock):
    """A supervisor that dies too must not make the broken part's pauses short again."""
    parts = {"a": part(stack, "a", FAIL)}
    ended(stack, "a")
    Supervisor(stack, parts, clock).look()
    again = Supervisor(stack, parts, clock)
    again.look()
    clock.now += 0.5
    again.look()
    assert find(stack.child("a")) is None
    clock.now += 0.5
    again.look()
    assert watch_record.read(stack.home)["a"].restarts == 1


@pytest.mark.parametrize("failure", [CommandError, SystemExit], ids=["no memory", "settings"])
def test_a_part_that_cannot_be_started_is_tried_again(stack, clock, failure):
    """A full disk, or no memory, passes; a file of settings that is torn is mended."""
    fails = [True]
    good = part(stack, "a", SLEEP)

    def start():
        if fails.pop() if fails else False:
            raise failure("no memory")
        return good.start()

    supervisor = Supervisor(stack, {"a": Part(start)}, clock)
    kill(stack.child("a"))
    supervisor.look()
    clock.now += 0.5
    supervisor.look()
    assert watch_record.read(stack.home)["a"].last_exit == "no memory"
    clock.now += 1
    supervisor.look()
    assert find(stack.child("a"))


def test_the_watch_goes_on_after_a_look_that_failed(stack, monkeypatch):
    """A full disk ended the supervisor, then its standby: nothing was started again after that."""
    parts = {"a": part(stack, "a", SLEEP)}
    supervisor, over = Supervisor(stack, parts, itertools.count().__next__), threading.Event()
    os.kill(stack.child("a").pid, signal.SIGKILL)
    ended(stack, "a")
    looks = []
    write = watch_record.write

    def full_at_first(*args):
        looks.append(1)
        if len(looks) < 3:
            raise OSError(28, "No space left on device")
        write(*args)
        over.set()

    monkeypatch.setattr(watch_record, "write", full_at_first)
    monkeypatch.setattr("cli.stack.supervisor.FAILED_S", 0.01)
    monkeypatch.setattr("cli.stack.supervisor.LOOK_S", 0.01)
    watch(supervisor, stack.home, over)
    assert len(looks) == 3
    assert watch_record.read(stack.home)["a"].last_exit


def test_taskmanagers_are_started_again_with_their_jobmanager(stack, clock):
    """Their tasks belong to no job any more, and their priorities to jobs that moved."""
    parts = {
        "jobmanager": part(stack, "jobmanager", SLEEP, ("taskmanager-1",)),
        "taskmanager-1": part(stack, "taskmanager-1", SLEEP),
        "store": part(stack, "store", SLEEP),
    }
    supervisor = Supervisor(stack, parts, clock)
    before = {name: stack.child(name).pid for name in parts}
    kill(stack.child("jobmanager"))
    supervisor.look()
    clock.now += 0.5
    supervisor.look()
    changed = {name for name in parts if stack.child(name).pid != before[name]}
    assert changed == {"jobmanager", "taskmanager-1"}
    assert all(find(stack.child(name)) for name in parts)
    assert watch_record.read(stack.home)["taskmanager-1"].last_exit == "ended with jobmanager"


def test_a_broker_that_is_started_again_gives_way(stack, clock):
    """It came back at the priority of the server, and answers waited for it."""
    supervisor = Supervisor(stack, {"kafka": part(stack, "kafka", SLEEP)}, clock)
    kill(stack.child("kafka"))
    supervisor.look()
    clock.now += 0.5
    supervisor.look()
    assert find(stack.child("kafka")).nice() == STREAM


def test_a_taskmanager_that_takes_over_the_learners_gives_way(stack, clock, monkeypatch):
    """Nobody waits for the learners: they come after the sessions, also after a restart."""
    stack.remember_job(LEARNERS, "1")
    monkeypatch.setattr(flink_rest, "known_jobs", lambda _: [job(LEARNERS, "1", "RUNNING")])
    monkeypatch.setattr(flink_rest, "host_of", lambda *_: host)
    keeper = JobKeeper(stack, clock)
    for host in ("taskmanager-1-aa", "taskmanager-1-bb"):
        part(stack, "taskmanager-1", [*SLEEP, f"{flink.RESOURCE_ID}={host}"])
        keeper.look()
        assert find(stack.child("taskmanager-1")).nice() == BEHIND
        kill(stack.child("taskmanager-1"))


def test_one_that_has_taken_the_name_of_the_learners_host_does_not(stack, clock, monkeypatch):
    """It may have the sessions, for which answers wait, while the JobManager knows of no death."""
    stack.remember_job(LEARNERS, "1")
    monkeypatch.setattr(flink_rest, "known_jobs", lambda _: [job(LEARNERS, "1", "RUNNING")])
    monkeypatch.setattr(flink_rest, "host_of", lambda *_: "taskmanager-1-dead")
    part(stack, "taskmanager-1", [*SLEEP, f"{flink.RESOURCE_ID}=taskmanager-1-new"])
    before = find(stack.child("taskmanager-1")).nice()
    JobKeeper(stack, clock).look()
    assert find(stack.child("taskmanager-1")).nice() == before != BEHIND


def test_the_pause_is_doubled_up_to_a_limit_and_reset_by_a_steady_life():
    """0.5 s after a crash, at most 30 s while it keeps dying."""
    backoff = Backoff()
    assert [backoff.after(1) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff.after(61) == 0.5


def job(name, job_id, state):
    return {"jid": job_id, "name": name, "state": state}


def test_a_job_that_the_jobmanager_does_not_know_is_submitted():
    """A JobManager that was started again knows no jobs."""
    assert plan("sessions", "1", []) == Plan(True, "")
    assert plan("sessions", "", []) == Plan(True, "")
    assert plan("sessions", "1", [job("sessions", "1", "FAILED")]) == Plan(True, "")
    assert plan("sessions", "1", [job("learners", "2", "RUNNING")]) == Plan(True, "")


def test_a_running_job_is_left_alone():
    """While it restarts, Flink brings it back by itself."""
    for state in ("CREATED", "RUNNING", "RESTARTING", "CANCELLING"):
        assert plan("sessions", "1", [job("sessions", "1", state)]) == Plan(False, "1")


def test_a_job_runs_once():
    """A supervisor that died in mid-submission leaves a run that nobody has recorded."""
    known = [job("sessions", "1", "RUNNING"), job("sessions", "2", "RUNNING")]
    assert plan("sessions", "1", known) == Plan(False, "1", ("2",))
    assert plan("sessions", "", known) == Plan(False, "1", ("2",))


def test_a_cancelled_job_stays_away():
    """Whoever cancels a job does not want it back a second later."""
    assert plan("sessions", "1", [job("sessions", "1", "CANCELED")]) is None


def test_long_logs_are_begun_anew_while_they_are_written(stack, clock, monkeypatch):
    """They grew until the disk was full: only a start looked at them."""
    monkeypatch.setattr(layout, "MAX_LOG_BYTES", 5_000)
    log = stack.home.log("talker")
    supervisor = Supervisor(stack, {"talker": part(stack, "talker", TALK)}, clock)
    wait_until(lambda: log.stat().st_size > 5_000, 60, "a long log")
    supervisor.look()
    assert log.stat().st_size > 5_000, "not at every look"
    clock.now += 10
    supervisor.look()
    assert log.with_name("talker.log.1").read_text().startswith("xxx")
    wait_until(lambda: log.read_bytes().startswith(b"later"), 60, "what is written after that")
