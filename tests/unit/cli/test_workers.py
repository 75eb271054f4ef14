"""``serve --workers``: the workers end with the process that looks after them."""

import signal
import subprocess
import sys

import psutil

from cli.stack.process import wait_until
from tests.command import ENVIRONMENT

CODE = """
import sys, threading, time
from pathlib import Path
import psutil
from cli.stack import workers

workers.sys.executable = sys.argv[1]
fleet = workers.Workers(2, {}, 0, Path("data"))


def say():
    while len(started := psutil.Process().children()) < 2:
        time.sleep(0.05)
    print(*(p.pid for p in started), flush=True)


threading.Thread(target=say, daemon=True).start()
fleet.run()
"""


def runs(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_workers_end_with_a_supervisor_that_was_killed(tmp_path):
    """They lived on without anybody to start them again or end them: the port stayed taken."""
    worker = tmp_path / "worker"
    worker.write_text("#!/bin/sh\nexec sleep 600\n")
    worker.chmod(0o700)
    parent = subprocess.Popen(
        [sys.executable, "-c", CODE, worker], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    workers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not any(map(runs, workers)), 60, "the end of the workers")
