"""`up` returns, and the process that has started the parts stays as their supervisor."""

import os
import sys

import psutil
import pytest

from cli.errors import CommandError
from cli.stack.detach import start_detached
from cli.stack.process import tail, wait_until

PROGRAM = "import os, sys; print(os.environ['WHO'], os.getppid(), os.waitpid(int(sys.argv[1]), 0))"


def test_the_program_is_the_parent_of_what_was_started(tmp_path):
    """Only a parent learns how a process has ended."""

    def start():
        child = os.fork()
        if not child:
            os._exit(7)
        return [sys.executable, "-c", PROGRAM, str(child)]

    start_detached(start, tmp_path / "log", {"WHO": "supervisor"})
    wait_until(lambda: ", 1792)" in tail(tmp_path / "log"), 60, "exit 7 in the program's log")
    assert tail(tmp_path / "log").startswith("supervisor ")


def test_an_error_of_the_start_is_an_error_of_the_command(tmp_path):
    """`up` that fails must say why, and leave no process."""
    before = psutil.Process().children()

    def start():
        raise CommandError("port 9092 is taken")

    with pytest.raises(CommandError, match="port 9092 is taken"):
        start_detached(start, tmp_path / "log", {})
    assert psutil.Process().children() == before
    assert not (tmp_path / "log").exists()
