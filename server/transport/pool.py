"""Threads for calls that may take long, with room for a bounded number of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from server import metrics

T = TypeVar("T")


class Pool:
    """A pool of threads that refuses work rather than let it queue without end.

    Parameters
    ----------
    name
        Of its threads.
    threads
        The most threads.
    most
        The most work at once: what runs, and what waits for a thread.
    """

    def __init__(self, name: str, threads: int, most: int) -> None:
        self.threads = ThreadPoolExecutor(threads, name)
        self._most = most
        self._free = threading.BoundedSemaphore(most)
        metrics.LANE_CALLS.labels(name).set_function(lambda: self.work)

    @property
    def work(self) -> int:
        """How much work runs or waits for a thread."""
        return self._most - self._free._value

    def submit(self, work: Callable[[], T], then: Callable[[T], None]) -> bool:
        """Have a thread do the work, then pass on its result; return False if there is no room.

        The work makes room before its result is passed on: whoever gets it may send more.
        """
        if not self._free.acquire(blocking=False):
            return False
        self.threads.submit(self._run, work, then)
        return True

    def _run(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        try:
            result = work()
        finally:
            self._free.release()
        then(result)
