"""A stack for one command only: on free ports, without a past, gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.console import err
from cli.errors import CommandError
from cli.stack.layout import Home, Ports
from cli.stack.stack import Stack


@contextmanager
def temporary_stack(home: Path) -> Iterator[Stack]:
    """Start a stack in an empty folder, and end it; its data are deleted, its logs stay.

    Raises
    ------
    CommandError
        If a stack runs in the folder already, or this one does not start.
    """
    stack = Stack(Home(home.absolute()), Ports.free(), bound=True)
    if Stack.running(stack.home):
        raise CommandError(f"a stack runs in {home} already; wait for it or choose another --home")
    stack.reset()
    try:
        with err.status("starting") as status:
            stack.start(lambda note: status.update(f"{note} ..."))
        yield stack
    finally:
        with err.status("stopping"):
            stack.stop()
            stack.prune()
