"""What a benchmark runs on: a stack of its own, and live clicks beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.console import err
from cli.stack.layout import PYTHON_PATH, Home, Ports
from cli.stack.process import spawn, stop
from cli.stack.stack import Stack


@contextmanager
def own_stack(home: Path) -> Iterator[Stack]:
    """Start a stack without a past on free ports; ends it, and drops its data but not its logs."""
    stack = Stack(Home(home.absolute()), Ports.free(), bound=True)
    stack.reset()
    try:
        with err.status("starting") as status:
            stack.start(lambda note: status.update(f"{note} ..."))
        yield stack
    finally:
        stack.stop()
        stack.prune()


@contextmanager
def live_clicks(stack: Stack, rate: float) -> Iterator[None]:
    """Have so many clicks a second of the sample come in meanwhile."""
    argv = [sys.executable, "-m", "cli.bench.load", stack.kafka, str(rate), "inf"]
    env = {"PYTHONPATH": PYTHON_PATH}
    load = spawn("load", argv, stack.home.log("load"), env, bound=True)
    try:
        yield
    finally:
        stop([load])
