"""The supervisor and its standby as processes, over a real Redis and stand-ins for other parts."""

import os
import signal
import sys

import pytest

from cli.errors import CommandError
from cli.stack import redis, watch_record
from cli.stack.layout import PYTHON_PATH, Home, Ports
from cli.stack.parts import STANDBY, SUPERVISOR, parts_of
from cli.stack.process import find, go, spawn, stop
from cli.stack.stack import Stack
from tests.integration.conftest import eventually

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def stack(home):
    """A stack whose parts sleep, under a supervisor that was started like a standby."""
    ports = Ports.free()
    stack = Stack(home, ports, bound=False)
    for name in parts_of(home, ports, bound=False):
        stack.replace(name, spawn(name, SLEEP, home.log(name), {}, bound=True))
    argv = [sys.executable, "-m", "cli.stack.standby", str(home.root)]
    go(spawn(STANDBY, argv, home.log(SUPERVISOR), {"PYTHONPATH": PYTHON_PATH}, bound=False))
    eventually(lambda: {SUPERVISOR, STANDBY} <= alive(home), bool, "a supervisor and its standby")
    yield stack
    left = Stack.running(home)
    if left is not None:
        left.stop()


def children(home):
    return {child.name: child for child in home.read().children}


def alive(home):
    return {name for name, child in children(home).items() if find(child)}


def kill(home, name):
    os.kill(children(home)[name].pid, signal.SIGKILL)


def test_a_killed_part_comes_back_whoever_watches(home, stack):
    """Under the first supervisor, under its successor, and under the one after that."""
    everything = alive(home)
    for _ in range(3):
        before = children(home)["redis"].pid
        kill(home, "redis")
        eventually(lambda b=before: children(home)["redis"].pid != b, bool, "another Redis")
        eventually(lambda: redis.ready(stack.home, stack.ports), bool, "Redis answers")
        successor = children(home)[STANDBY].pid
        kill(home, SUPERVISOR)
        eventually(
            lambda s=successor: children(home)[SUPERVISOR].pid == s, bool, "the standby took over"
        )
        eventually(lambda: alive(home) == everything, bool, "another standby, and all parts")
    assert watch_record.read(home)["redis"].restarts == 3


def test_a_killed_standby_is_replaced(home, stack):
    """Without it, the supervisor's death would be nobody's business."""
    supervisor, before = children(home)[SUPERVISOR], children(home)[STANDBY].pid
    kill(home, STANDBY)
    eventually(lambda: children(home)[STANDBY].pid != before, bool, "another standby")
    assert children(home)[SUPERVISOR] == supervisor


def test_nobody_else_starts_parts_and_down_ends_all(home, stack):
    """`up` beside a supervisor is refused; `down` must not race with restarts."""
    with pytest.raises(CommandError, match="runs in"):
        Stack(home, stack.ports, bound=False).start()
    recorded = children(home).values()
    Stack.running(home).stop()
    assert [child.name for child in recorded if find(child)] == []
    assert Stack.running(home) is None
    assert home.read() is None


def test_parts_outlive_both_supervisors_and_can_be_ended(home, stack):
    """Whatever killed both: nothing is started until the next `up`, and `down` works."""
    watchers = [children(home)[name] for name in (STANDBY, SUPERVISOR)]
    stop(watchers, grace_s=0)
    assert alive(home) == set(parts_of(home, stack.ports, bound=False))
    adopted = Stack(home, stack.ports, bound=False)
    assert isinstance(adopted.claim(), int)
    adopted.release()
    Stack.running(home).stop()
    assert Stack.running(home) is None
