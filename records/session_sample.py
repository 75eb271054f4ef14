"""Which sessions a learner passes over: while it is late, it learns a sample of those that begin.

A session is in the sample by a hash of its name, and the sample counts for it if its incarnation
lies in a period in which the learner was late. So every session is learned, or passed over, as a
whole, whatever a learner forgets of it and however often it is started again; all learners take the
same sessions; and who knows the periods can recount which were passed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from nextclick.limits import (
    LEARNER_IN_TIME_MS,
    MAX_CLOCK_SKEW_MS,
    MAX_LEARNER_LATE_MS,
    MAX_SAMPLED_PERIODS,
    SAMPLED_SHARE,
)
from nextclick.v1 import learning_pb2 as pb

PATIENCE_MS = MAX_LEARNER_LATE_MS
"""So long after its start a learner learns all: what was missed meanwhile is often soon learned."""


def unit_hash(name: str) -> float:
    """Return the hash of a name as a number in [0, 1): the same everywhere, and for good."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little") / 2**64


def number_of(session_id: str, incarnation: int) -> float:
    """Return a session's number in [0, 1); it is in the sample if that is below the share."""
    return unit_hash(f"{session_id}#{incarnation}")


class Period(NamedTuple):
    """A period of sampling: incarnations ``first`` to before ``end`` (0: it goes on)."""

    first: int
    end: int
    share: float


class SessionSample:
    """Decides for each session whether it is learned.

    Examples
    --------
    >>> sample = SessionSample()
    >>> sample.takes("s1", incarnation=1_000)
    True
    >>> sample.adapt(late_ms=0, now_ms=0)
    False
    >>> sample.adapt(late_ms=40_000, now_ms=40_000)
    True
    >>> sample.sampling
    True
    >>> sample.takes("s1", incarnation=1_000)  # it had begun before
    True
    >>> sum(sample.takes(f"n{n}", incarnation=1_001) for n in range(1_000))
    259
    """

    def __init__(self) -> None:
        self.periods: list[Period] = []
        """Oldest first."""
        self.newest = 0
        """The highest incarnation seen."""
        self._since_ms: int | None = None
        """The first time that was seen."""

    @property
    def sampling(self) -> bool:
        """Whether of the sessions that begin now only those in the sample are learned."""
        return bool(self.periods) and self.periods[-1].end == 0

    def takes(self, session_id: str, incarnation: int) -> bool:
        """Note a session, and return whether it is learned."""
        self.newest = max(self.newest, incarnation)
        for period in reversed(self.periods):
            if period.first <= incarnation:
                over = 0 < period.end <= incarnation
                return over or number_of(session_id, incarnation) < period.share
        return True

    def adapt(self, late_ms: int, now_ms: int) -> bool:
        """Begin a period once the learner is too late, end it once it is in time again.

        Parameters
        ----------
        late_ms
            How long ago arrived what has been applied last; 0 if nothing is left to apply.
        now_ms
            The time, on the broker's clock.

        Returns
        -------
        Whether a period has begun or ended.

        Notes
        -----
        Both happen after the newest session seen, so that none changes sides. Several partitions
        are read unevenly: sessions that began before it, of a partition that is further behind, are
        still learned, or passed over, as those beside them.
        """
        set_right = self._set_right(now_ms + MAX_CLOCK_SKEW_MS)
        if self._since_ms is None:
            self._since_ms = now_ms
        if self.sampling:
            if late_ms > LEARNER_IN_TIME_MS:
                return set_right
            self._end()
        elif late_ms > MAX_LEARNER_LATE_MS and now_ms - self._since_ms > PATIENCE_MS:
            self._begin()
        else:
            return set_right
        return True

    def _set_right(self, latest: int) -> bool:
        """Let no period begin or end later than that: a clock was ahead, but is no more."""
        before = self.periods
        self.newest = min(self.newest, latest)
        self.periods = [p._replace(end=min(p.end, latest)) for p in before if p.first <= latest]
        return self.periods != before

    def _begin(self) -> None:
        first = self.newest + 1
        if self.periods and (self.periods[-1].end, self.periods[-1].share) == (
            first,
            SAMPLED_SHARE,
        ):
            first = self.periods.pop().first  # nothing has begun in between
        self.periods.append(Period(first, 0, SAMPLED_SHARE))
        del self.periods[:-MAX_SAMPLED_PERIODS]

    def _end(self) -> None:
        period = self.periods.pop()
        end = self.newest + 1
        if period.first < end:
            self.periods.append(period._replace(end=end))

    def dump(self, state: pb.LearnerState) -> None:
        """Write the periods into a learner's state."""
        state.newest_incarnation = self.newest
        for first, end, share in self.periods:
            state.sampled.add(from_incarnation=first, until_incarnation=end, share=share)

    def load(self, state: pb.LearnerState) -> None:
        """Continue with what `dump` has written."""
        self.newest = state.newest_incarnation
        self.periods = list(periods_of(state.sampled))


def periods_of(messages: Iterable[pb.SampledPeriod]) -> Iterable[Period]:
    """Yield the periods of a learner's state."""
    for message in messages:
        yield Period(message.from_incarnation, message.until_incarnation, message.share)
