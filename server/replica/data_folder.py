"""The lock of a replica's data folder: two processes would delete each other's snapshots."""

from __future__ import annotations

import fcntl
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server import metrics

LOCK_FILE = "lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a data folder, which is created if it does not exist.

    The kernel releases the lock when the process ends, however it ends.

    Raises
    ------
    SystemExit
        If another process has it, or the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as e:
        raise SystemExit(
            f"cannot write to {folder.absolute()}: {e.strerror}; set NEXTCLICK_DATA_DIR to a "
            "folder of this process"
        ) from e
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 20).decode() or "unknown"
            raise SystemExit(
                f"{folder.absolute()} is in use by another server or example emitter (pid "
                f"{holder}); end that process, or set NEXTCLICK_DATA_DIR to a folder of its own"
            ) from None
        os.truncate(file, 0)
        os.write(file, str(os.getpid()).encode())
        metrics.DATA_FREE.set_function(lambda: _disk(folder, "free"))
        metrics.DATA_SIZE.set_function(lambda: _disk(folder, "total"))
        yield
    finally:
        os.close(file)


def _disk(folder: Path, what: str) -> float:
    """Return the free bytes of the disk with a folder, or all; no number if the folder is gone."""
    try:
        return float(getattr(shutil.disk_usage(folder), what))
    except OSError:
        return math.nan
