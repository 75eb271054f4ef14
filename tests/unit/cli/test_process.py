"""Child processes that are paused."""

import os
import sys

import pytest

from cli.stack.process import paused, spawn, stop, wait_until

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
