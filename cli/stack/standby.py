"""Waits until the supervisor of a stack is gone, and becomes it: ``python -m cli.stack.standby``.

It loads nothing that it does not need while it waits.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cli.stack.layout import Home


def supervisor_of(home: Home, lock: int) -> list[str]:
    """Return the command of the process that watches over a folder.

    Parameters
    ----------
    home
        The folder.
    lock
        Its open lock, which the process inherits.
    """
    os.set_inheritable(lock, True)
    return [sys.executable, "-m", "cli.stack.supervisor", str(home.root), str(lock)]


def main() -> None:
    """Wait for the lock of a folder; then become its supervisor."""
    home = Home(Path(sys.argv[1]))
    lock = home.lock(wait=True)
    assert lock is not None
    argv = supervisor_of(home, lock)
    os.execv(argv[0], argv)


if __name__ == "__main__":
    main()
