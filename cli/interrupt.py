"""Ctrl-C and SIGTERM, noticed even where Python drops an exception.

A signal handler's exception is lost when it strikes inside a hook of the interpreter (a fork's,
a finaliser's). So the handler also leaves a mark, and whatever waits or starts processes
looks at it.
"""

from __future__ import annotations

import signal
from types import FrameType

_requested = False


def install() -> None:
    """Take SIGINT and SIGTERM as a wish to stop.

    A shell that starts us in the background has SIGINT ignored; stopping must work all the
    same.
    """
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)


def check() -> None:
    """Raise KeyboardInterrupt if somebody wants us to stop."""
    if _requested:
        raise KeyboardInterrupt


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    global _requested  # noqa: PLW0603 - signals are the process's
    _requested = True
    raise KeyboardInterrupt
