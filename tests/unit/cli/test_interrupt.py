"""Ctrl-C is noticed even where its exception is lost, and said even where it becomes another."""

import signal
import subprocess
import sys

import pytest

from tests.command import ENVIRONMENT

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


LOADING = """
import os, runpy, sys
class Finder:
    def find_spec(self, name, *_):
        if name == 'cli.main':
            try:
                os.kill(os.getpid(), int(os.environ['NUMBER']))
                sum(range(1000))
            except KeyboardInterrupt:
                pass   # as Cython's modules do while they are loaded
sys.meta_path.insert(0, Finder())
sys.argv = ['nextclick', 'results', '--help']
runpy.run_module('cli', run_name='__main__')
"""


WRAPPED = """
import os, sys
from cli import main
def compiling():
    try:
        os.kill(os.getpid(), int(os.environ['NUMBER']))
        sum(range(1000))
    except KeyboardInterrupt as e:
        raise RuntimeError('failed in nopython mode') from e
main.app.command('compiling')(compiling)
sys.argv = ['nextclick', 'compiling']
main.main()
"""


def run(program, **variables):
    argv = [sys.executable, "-c", program]
    env = ENVIRONMENT | variables
    return subprocess.run(argv, capture_output=True, text=True, env=env, timeout=240, check=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_becomes_another_error_is_told_as_what_it_is(number):
    """Ended while numba compiled, `evaluate` printed a hundred lines of numba's."""
    done = run(WRAPPED, NUMBER=str(int(number)))
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_the_command_is_loaded_ends_it(number):
    """In the first seconds, it was a traceback through typer and numpy; or an import went on."""
    done = run(LOADING, NUMBER=str(int(number)))
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_an_interrupt_that_python_drops_is_noticed_by_whatever_waits_next():
    """Once in some runs Ctrl-C struck inside a fork's hook, and the demo went on for minutes."""
    done = run(LOST)
    assert (done.stdout.split(), done.stderr) == (["lost", "noticed"], "")
