"""Ctrl-C is noticed even where its exception is lost."""

import os
import subprocess
import sys

from cli.stack.layout import PROJECT

LOST = """
import os, signal
from cli import interrupt
from cli.stack.process import wait_until
interrupt.install()
class Finaliser:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)   # the exception is raised, and ignored, in here
        sum(range(1000))
f = Finaliser()
del f
print('lost', flush=True)
try:
    wait_until(lambda: False, 120, 'never')
except KeyboardInterrupt:
    print('noticed', flush=True)
"""


def test_an_interrupt_that_python_drops_is_noticed_by_whatever_waits_next():
    """Once in some runs Ctrl-C struck inside a fork's hook, and the demo went on for minutes."""
    env = {**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'proto'}"}
    argv = [sys.executable, "-c", LOST]
    done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=240, check=False)
    assert done.stdout.split() == ["lost", "noticed"], done.stderr
