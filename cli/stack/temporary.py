"""A stack for one command only: on free ports, without a past, gone afterwards.

Its folder is emptied at the start, so only a folder that is marked as temporary is used: one that
was new or empty when a command first used it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.console import err
from cli.errors import CommandError
from cli.stack.apps import UNGUARDED
from cli.stack.layout import Home, Ports
from cli.stack.secured import secure
from cli.stack.stack import Stack

MARKER = ".nextclick-temporary"
"""The file that marks a folder whose content may be deleted."""


def results_folder(folder: Path) -> Path:
    """Return a folder for results; it is marked as temporary if it is new or empty."""
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        (folder / MARKER).touch()
    return folder


def keep(folder: Path) -> None:
    """Mark a folder as one whose content stays."""
    (folder / MARKER).unlink(missing_ok=True)


@contextmanager
def temporary_stack(home: Path, *, secured: bool = False) -> Iterator[Stack]:
    """Start a stack in an empty folder, and end it; its data are deleted, its logs stay.

    Whatever the settings are, its ports are plain and take calls without a token, since nobody else
    knows of it; or all of it is ``secured`` (`cli.stack.secured`).

    Raises
    ------
    CommandError
        If a stack runs in the folder already, if the folder holds what no such command has
        written, or if this stack does not start.
    """
    stack = Stack(Home(home.absolute()), Ports.free(), bound=True)
    if Stack.running(stack.home):
        raise CommandError(f"a stack runs in {home} already; wait for it or choose another --home")
    if not (results_folder(home) / MARKER).exists():
        raise CommandError(
            f"{home.absolute()} would be emptied, but it was not made by `nextclick demo` or "
            "`nextclick bench`: choose another --home, or delete the folder yourself"
        )
    stack.claim()
    stack.reset(keep=MARKER)
    os.environ.update(secure(stack.home) if secured else UNGUARDED)
    try:
        with err.status("starting") as status:
            stack.start(lambda note: status.update(f"{note} ..."))
        yield stack
    finally:
        with err.status("stopping"):
            stack.stop()
            stack.prune()
            stack.release()
