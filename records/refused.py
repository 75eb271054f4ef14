"""Records of a topic that a reader has passed over: counted, the latest kept, said in its log.

The records themselves stay in their topic, where topic, partition and offset find them.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

log = logging.getLogger("nextclick.refused")

TOO_LARGE, INVALID, FAILED = "too_large", "invalid", "failed"
"""Reasons: larger than its topic allows; not what the topic holds, or beyond a limit; a bug."""

LATEST = 20
"""The most refused records that are kept."""

LINES_PER_S = 5
"""The most lines in the log: a topic full of such records must not fill the disk."""

DETAIL = 200
"""Characters of a detail that are kept."""


class Refused(NamedTuple):
    """Where a refused record is, and what is wrong with it."""

    topic: str
    partition: int
    offset: int
    reason: str
    detail: str


class RefusedRecords:
    """Counts and keeps what is added; `report` writes the log, which may block.

    Parameters
    ----------
    count
        Counts one where the reader's other figures are.
    clock
        Returns monotonic seconds.
    """

    def __init__(
        self, count: Callable[[Refused], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._count = count
        self.latest: deque[Refused] = deque(maxlen=LATEST)
        self._unsaid: list[tuple[Refused, Exception | None]] = []
        self._untold = 0
        self._clock = clock
        self._second = 0

    def add(self, refused: Refused, failure: Exception | None = None) -> None:
        """Count and keep a refused record, with the exception if it is a bug's."""
        self._count(refused)
        self.latest.append(refused._replace(detail=refused.detail[:DETAIL]))
        if len(self._unsaid) < LINES_PER_S:
            self._unsaid.append((self.latest[-1], failure))
        else:
            self._untold += 1

    def report(self) -> None:
        """Say in the log what was added since the last report, once a second at most."""
        if not self._unsaid or int(self._clock()) == self._second:
            return
        self._second = int(self._clock())
        unsaid, self._unsaid = self._unsaid, []
        untold, self._untold = self._untold, 0
        for refused, failure in unsaid:
            log.warning("passing over %s-%d at %d: %s: %s", *refused, exc_info=failure)
        if untold:
            log.warning("passing over %d more records", untold)
