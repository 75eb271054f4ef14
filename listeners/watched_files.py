"""Files that may be replaced while a process runs, such as its certificate and its tokens.

They are read once a second, and compared byte by byte: a mounted Secret changes by a link, a copy
may keep its time. What is torn or invalid changes nothing. It is said in the log and in a metric
until the files are valid again, and what they held before it stays in use.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from prometheus_client import Gauge

log = logging.getLogger("nextclick.files")

EVERY_S = 1.0
"""Pause between two looks at the files."""

MAX_BYTES = 1 << 20
"""The most bytes of one file."""

VALID = Gauge(
    "nextclick_watched_files_valid",
    "Whether what the files hold now is in use; 0: it is invalid, and what they held before is",
    ["kind"],
)

T = TypeVar("T")


class WatchedFiles(Generic[T]):
    """What some files hold, as it was when they were last valid.

    Parameters
    ----------
    kind
        What they hold, for log and metric.
    paths
        The files.
    parse
        Makes a value of their contents, in the order of the paths; raises ValueError with a
        sentence, which must quote nothing of them.

    Raises
    ------
    SystemExit
        If they cannot be read, or are not valid.
    """

    def __init__(
        self, kind: str, paths: Sequence[Path], parse: Callable[[Sequence[bytes]], T]
    ) -> None:
        self._kind = kind
        self._paths = paths
        self._parse = parse
        self._fault = ""
        self._seen: list[bytes] | None = None
        try:
            self._seen = self._read()
            self.value = parse(self._seen)
        except (OSError, ValueError) as e:
            raise SystemExit(self._told(e)) from None
        VALID.labels(kind).set(1)

    def refresh(self) -> None:
        """Take over what the files hold now, if that is new and valid."""
        try:
            held = self._read()
        except (OSError, ValueError) as e:
            self._seen = None  # the same content is news once it can be read again
            self._keep(self._told(e))
            return
        if held == self._seen:
            return
        self._seen = held
        try:
            self.value = self._parse(held)
        except (OSError, ValueError) as e:
            self._keep(self._told(e))
            return
        self._fault = ""
        VALID.labels(self._kind).set(1)
        log.info("%s: read anew", self._kind)

    def _keep(self, fault: str) -> None:
        """Say once that the value stays as it was, and why."""
        VALID.labels(self._kind).set(0)
        if fault != self._fault:
            self._fault = fault
            log.warning("%s: %s; what they held before stays in use", self._kind, fault)

    def _read(self) -> list[bytes]:
        return [_content(path) for path in self._paths]

    def _told(self, error: OSError | ValueError) -> str:
        if isinstance(error, OSError):
            return f"{error.filename} cannot be read: {error.strerror}"
        return f"{', '.join(map(str, self._paths))}: {error}"


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"has more than {MAX_BYTES:,} bytes")
    return content


def watch(files: Sequence[WatchedFiles[Any]]) -> None:
    """Look at files from now on, on a thread of its own."""

    def look() -> None:
        while True:
            time.sleep(EVERY_S)
            for entry in files:
                try:
                    entry.refresh()
                except Exception:
                    log.exception("files could not be looked at")

    threading.Thread(target=look, name="files", daemon=True).start()
