"""Child processes: found, ended, paused; those that end with their parent."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from cli.errors import CommandError
from cli.stack.layout import Child
from cli.stack.process import child_of, find, paused, spawn, stop, tail, wait_until
from tests.command import ENVIRONMENT

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]

THREADS = 8
SPIN = f"""
import os, threading
def write():
    while True:
        os.write(1, b".")
for _ in range({THREADS}):
    threading.Thread(target=write).start()
"""


@pytest.fixture
def busy(tmp_path):
    """A process whose threads write all the time, and its log."""
    log = tmp_path / "busy.log"
    child = spawn("busy", [sys.executable, "-c", SPIN], log, os.environ, bound=True)
    yield child, log
    stop([child])


def test_nothing_of_a_paused_process_runs(busy):
    """SIGSTOP returns before all threads have stopped: a paused broker still took an event."""
    child, log = busy
    wait_until(lambda: len(os.listdir(f"/proc/{child.pid}/task")) > THREADS, 300, "its threads")
    for _ in range(20):
        with paused(child):
            size = log.stat().st_size
            for _ in range(1_000):
                assert log.stat().st_size == size
        wait_until(lambda before=size: log.stat().st_size > before, 300, "it to go on")


def test_a_child_is_found_and_ended(home):
    """`down` must end what `up` started."""
    child = spawn("sleeper", SLEEP, home.log("sleeper"), {}, bound=True)
    assert find(child) is not None
    stop([child])
    assert find(child) is None
    stop([child])


def test_a_child_that_ignores_sigterm_is_killed(home):
    """A hanging part must not keep `down` from ending."""
    code = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); "
        "print('deaf', flush=True); time.sleep(600)"
    )
    child = spawn("deaf", [sys.executable, "-c", code], home.log("deaf"), {}, bound=True)
    wait_until(lambda: "deaf" in tail(home.log("deaf")), 60, "the child")
    stop([child], grace_s=0.2)
    assert find(child) is None


def test_another_process_of_the_same_pid_is_left_alone():
    """Pids come back: only the time of creation tells our process from a stranger's."""
    mine = psutil.Process()
    assert find(Child("me", mine.pid, mine.create_time())) is not None
    stranger = Child("me", mine.pid, mine.create_time() - 100)
    assert find(stranger) is None
    stop([stranger])


@pytest.mark.parametrize("step_s", [-3_600, 3_600])
def test_a_part_is_found_after_the_clock_was_set(home, monkeypatch, step_s):
    """The boot's time moves with the clock: `down` found nothing, the supervisor all parts dead."""
    child = spawn("sleeper", SLEEP, home.log("sleeper"), {}, bound=True)
    booted = psutil.boot_time()
    monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: booted + step_s)
    assert abs(psutil.Process(child.pid).create_time() - child.created - step_s) < 10
    assert find(child) is not None
    stop([child])
    assert find(child) is None


def test_a_process_of_another_boot_is_a_stranger(monkeypatch, tmp_path):
    """A part that starts with the machine has much the same pid and tick each time."""
    mine = child_of("me", os.getpid())
    assert find(mine) is not None
    other = tmp_path / "boot_id"
    other.write_text("another boot")
    monkeypatch.setattr("cli.stack.process._BOOT_ID", other)
    assert find(mine) is None


def test_a_part_that_was_not_recorded_ends_with_its_starter(tmp_path):
    """A supervisor that was killed in between left a part on a port, that nobody knew of."""
    code = (
        "import sys, time; from pathlib import Path; from cli.stack.process import spawn\n"
        f"log = Path({str(tmp_path / 'log')!r})\n"
        "argv = [sys.executable, '-c', 'print(\"it runs\", flush=True)']\n"
        "print(spawn('x', argv, log, {}, bound=False).pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    assert psutil.pid_exists(pid)
    parent.kill()
    parent.wait()
    wait_until(lambda: _gone(pid), 60, "the part's end")
    assert tail(tmp_path / "log") == ""


def _gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_bound_child_dies_with_its_parent(tmp_path):
    """kill -9 of a demo must not leave a broker behind."""
    code = (
        "import sys, time; from pathlib import Path; from cli.stack.process import spawn\n"
        "sleep = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        f"c = spawn('x', sleep, Path({str(tmp_path / 'log')!r}), {{}}, bound=True)\n"
        "print(c.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    assert psutil.pid_exists(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: _gone(pid), 60, "the child's end")


@pytest.mark.parametrize("bound", [True, False])
def test_a_start_runs_no_handlers_of_forks(home, bound):
    """Those of gRPC can lose the answers to calls of this process that are on their way."""
    forks = []
    os.register_at_fork(before=lambda: forks.append("before"))
    stop([spawn("sleeper", SLEEP, home.log("sleeper"), {}, bound=bound)])
    assert not forks


def test_waiting_ends_when_a_child_has_died(home):
    """A part that cannot start says so at once, with the end of its log."""
    argv = [sys.executable, "-c", "print('no such disk'); raise SystemExit(3)"]
    child = spawn("broken", argv, home.log("broken"), {}, bound=True)
    with pytest.raises(CommandError, match=r"broken has ended[\s\S]*no such disk"):
        wait_until(lambda: False, 60, "never", [(child, home.log("broken"))])


def test_waiting_ends_at_its_limit(home):
    """Nothing waits for ever."""
    with pytest.raises(CommandError, match="the thing: not within 0 s"):
        wait_until(lambda: False, 0.1, "the thing")


def test_a_paused_process_goes_on_when_whoever_paused_it_is_killed(busy):
    """A broker that stood still for good would take no click, and no supervisor would see it."""
    child, log = busy
    code = (
        "import sys, time; from cli.stack.layout import Child; from cli.stack.process import *\n"
        f"with paused(child_of('busy', {child.pid})): print('paused', flush=True); time.sleep(600)"
    )
    pauser = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    assert pauser.stdout.readline() == "paused\n"
    assert find(child).status() == psutil.STATUS_STOPPED
    size = log.stat().st_size
    pauser.kill()
    pauser.communicate()
    wait_until(lambda: log.stat().st_size > size, 300, "it to go on")
