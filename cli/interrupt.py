"""Ctrl-C and SIGTERM, noticed even where Python drops an exception.

The exception of a signal handler is lost when it is raised inside a hook of the interpreter (of a
fork or a finaliser), or inside a callback of a compiler. So the handler also sets a flag, which
everything that waits or starts processes checks; and of an exception that was lost, nothing is
printed.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it, and after SIGTERM."""

TOLD = "interrupted"
"""What is printed then."""

NUMBERS = (signal.SIGINT, signal.SIGTERM)

_requested = False


def end_at_once() -> None:
    """Let SIGINT and SIGTERM end this process as it is: while it loads, there is nothing to undo.

    An exception would be lost in the loading of some module, or end in a traceback through it.
    """
    for number in NUMBERS:
        signal.signal(number, _end)


def install() -> None:
    """Handle SIGINT and SIGTERM as requests to stop.

    A shell ignores SIGINT for what it starts in the background; stopping must work there, too.
    """
    for number in NUMBERS:
        signal.signal(number, _interrupt)
    sys.unraisablehook = _say_lost


def requested() -> bool:
    """Return whether a stop was requested."""
    return _requested


def check() -> None:
    """Raise KeyboardInterrupt if a stop was requested."""
    if _requested:
        raise KeyboardInterrupt


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    os.write(sys.stderr.fileno(), f"{TOLD}\n".encode())
    os._exit(INTERRUPTED)


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    global _requested  # noqa: PLW0603 - signals are the process's
    _requested = True
    raise KeyboardInterrupt


def _say_lost(lost: sys.UnraisableHookArgs) -> None:
    """Print an exception that was lost, but for that of a signal."""
    if lost.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(lost)
