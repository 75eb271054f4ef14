"""How far a replica is behind the log, in records and in time.

The age of the first record that is still to be applied is not known before it is read. It arrived
after the last one that was applied, and after the last look that found nothing more to apply: the
later of these two moments is where the lag is counted from. So it is never too small; it is too
large by the time between two such moments at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from server.replica.broker import Place


class Lag(NamedTuple):
    """How far behind: records, and milliseconds since the first of them arrived.

    Of compacted topics some of the records may be gone: there it is the most that they can be.
    """

    records: int = 0
    ms: int = 0


class LagMeter:
    """Measures the lag of each topic.

    Parameters
    ----------
    positions
        The next offset of each partition; who reads the log changes it.
    clock
        Returns seconds since 1970.
    """

    def __init__(
        self, positions: Mapping[Place, int], clock: Callable[[], float] = time.time
    ) -> None:
        self._positions = positions
        self._clock = clock
        self._began_ms = self.now_ms()
        self.arrived_ms: dict[Place, int] = {}
        """When the last record that was applied of each partition arrived; the reader notes it."""
        self._ends: dict[Place, int] = {}
        self._at_end_ms: dict[Place, int] = {}

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""
        return int(self._clock() * 1_000)

    def note_ends(self, ends: Mapping[Place, int], asked_ms: int) -> None:
        """Take the ends of partitions, which the broker was asked for at a time."""
        self._ends.update(ends)
        for place, end in ends.items():
            if self._positions.get(place, 0) >= end:
                self._at_end_ms[place] = asked_ms

    def forget(self, topic: str) -> None:
        """Forget a topic that was made anew."""
        for noted in (self.arrived_ms, self._ends, self._at_end_ms):
            for place in [place for place in noted if place[0] == topic]:
                del noted[place]

    def measure(self) -> dict[str, Lag]:
        """Return the lag of each topic, that in time of its partition which is furthest behind."""
        now_ms = self.now_ms()
        lags: dict[str, Lag] = {}
        for place, position in dict(self._positions).items():
            name = place[0]
            records, ms = lags.get(name, Lag())
            behind = self._ends.get(place, 0) - position
            if behind > 0:
                since_ms = max(self.arrived_ms.get(place, 0), self._at_end_ms.get(place, 0))
                ms = max(ms, now_ms - (since_ms or self._began_ms), 0)
                records += behind
            lags[name] = Lag(records, ms)
        return lags
