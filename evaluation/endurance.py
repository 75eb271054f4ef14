"""How models fare day after day: hits, times of calls, and memory, while the catalogue changes.

Each sampled click is a case: it is answered before it is learned. Times are of the processor, so
that other processes count little.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.progress import Progress, silent
from evaluation.succession import Day, Visit
from nextclick.limits import SESSION_STEPS
from online_models.engine import Engine
from online_models.vectors.main_index import MainIndex

K = 20
ASKED = 10
"""One click in this many is a case, if it has clicks before it and is no bot's."""

REPORTS = 200
"""Reports of progress, and measurements of memory."""

BUILD_DAYS = 10
"""Between two builds of the vector index; it is swapped in a day later, with that day's changes."""

LONG_US = 500
"""Calls that take longer are kept; a machine that others use adds milliseconds to some of them."""

MOST_LONG = 100_000

CHANGES, LISTS = 16, 2
"""Changes of the index that are taken over in one call; lists of near items made after a case."""


@dataclass
class Life:
    """What was measured; arrays are allocated before, so that they are no growth.

    Attributes
    ----------
    learn_us
        (clicks,) float32 microseconds of learning each click.
    case_at, hits, recommend_us
        (cases,): the number of its click, whether its item was among the answer's `K`, and the
        microseconds of the answer.
    memory
        (clicks so far, bytes) at even distances.
    calls
        How many calls were timed, those that are no case and no click, too.
    long
        Microseconds of the calls above `LONG_US`, the first `MOST_LONG` of them, by what was called
        and its place among all calls. Two lives of the same days make the same calls, so what is
        long in one of them only is not the models'.
    """

    learn_us: NDArray[np.float32]
    case_at: NDArray[np.int64]
    hits: NDArray[np.bool_]
    recommend_us: NDArray[np.float32]
    memory: list[tuple[int, int]] = field(default_factory=list)
    calls: int = 0
    long: dict[tuple[str, int], float] = field(default_factory=dict)


class Endurance:
    """Lets models live through days, and measures.

    Parameters
    ----------
    engine
        Models that have learned nothing yet.
    clicks
        At least as many as the days have.
    memory
        Returns the bytes that the process has.
    """

    def __init__(self, engine: Engine, clicks: int, memory: Callable[[], int]) -> None:
        self._engine = engine
        self._clicks = clicks
        self._memory = memory
        self._n = self._cases = 0
        self._now_s = 1
        self._built: MainIndex | None = None
        most = clicks // ASKED + 1
        self._life = Life(
            np.full(clicks, -1, np.float32),
            np.full(most, -1, np.int64),
            np.ones(most, np.bool_),
            np.full(most, -1, np.float32),
        )
        engine.begin_index(lambda: float(self._now_s))

    def live(self, days: Iterable[Day], progress: Progress = silent, task: str = "living") -> Life:
        """Live through the days, and return what was measured."""
        for which, day in enumerate(days):
            for item in day.left:
                self._timed("delete_item", self._engine.delete_item, item)
            for item in day.came:
                self._timed("put_item", self._engine.put_item, item)
            for visit in day.visits:
                self._play(visit, progress, task)
            self._swap()
            if which % BUILD_DAYS == 0:
                assert self._engine.index is not None
                self._built = self._engine.index.build()
        life, n = self._life, self._cases
        life.learn_us = life.learn_us[: self._n]
        life.case_at, life.hits = life.case_at[:n], life.hits[:n]
        life.recommend_us = life.recommend_us[:n]
        return life

    def _play(self, visit: Visit, progress: Progress, task: str) -> None:
        engine, life = self._engine, self._life
        number = engine.open_session()
        for place, (item, at_s) in enumerate(zip(visit.items, visit.times_s, strict=True)):
            self._now_s = at_s
            if place and not visit.bot and self._n % ASKED == 0:
                self._ask(visit, place, number)
            _, life.learn_us[self._n] = self._timed("learn", engine.learn, number, item, at_s=at_s)
            if not visit.bot:
                self._publish(item)
            self._n += 1
            if self._n % max(self._clicks // REPORTS, 1) == 0:
                life.memory.append((self._n, self._memory()))
                hit_rate = life.hits[: self._cases].mean() if self._cases else 0.0
                progress(task, self._n, self._clicks, f"{hit_rate:.4f}")

    def _ask(self, visit: Visit, place: int, number: int) -> None:
        engine, life, case = self._engine, self._life, self._cases
        rows = engine.rows_of(visit.items[max(0, place - SESSION_STEPS) : place])
        times_s = (visit.times_s[place - 2] if place > 1 else 0, visit.times_s[place - 1])
        answer, life.recommend_us[case] = self._timed(
            "recommend", engine.recommend, rows, K, number, times_s=times_s
        )
        row = engine.row(visit.items[place])
        life.hits[case] = row > 0 and row in answer.rows
        life.case_at[case] = self._n
        self._cases += 1
        assert engine.nearest is not None
        engine.nearest.make(LISTS)

    def _publish(self, item: str) -> None:
        """Put an item's vectors into the index, as those that are learned elsewhere would be."""
        row, a = self._engine.row(item), self._engine.arrays
        if row:
            context, target = a["context_vectors"][row].copy(), a["target_vectors"][row].copy()
            self._timed("put_vectors", self._engine.put_vectors, item, context, target)

    def _swap(self) -> None:
        """Swap in the index that was built a day ago, in slices."""
        index, main = self._engine.index, self._built
        assert index is not None
        self._built = None
        while main is not None and not self._timed("swap", index.swap, main, CHANGES)[0]:
            pass

    def _timed(self, name: str, call: Callable[..., Any], *args: Any, **more: Any) -> Any:
        """Return what a call returns, and how many microseconds of the processor it took."""
        started = time.thread_time_ns()
        returned = call(*args, **more)
        us = (time.thread_time_ns() - started) / 1_000
        life = self._life
        life.calls += 1
        if us > LONG_US and len(life.long) < MOST_LONG:
            life.long[name, life.calls] = us
        return returned, us


def faster_of(a: Life, b: Life) -> Life:
    """Return two equal lives as one: times call by call those of the faster, memory that of ``a``.

    Raises
    ------
    ValueError
        If the two are not of the same days.
    """
    _require_equal(a, b)
    return replace(
        a,
        learn_us=np.minimum(a.learn_us, b.learn_us),
        recommend_us=np.minimum(a.recommend_us, b.recommend_us),
        long={call: min(us, b.long[call]) for call, us in a.long.items() if call in b.long},
    )


def longest(life: Life) -> dict[str, float]:
    """Return the microseconds of the longest call by what was called, of those above `LONG_US`."""
    names = {name for name, _ in life.long}
    return {
        wanted: max(us for (name, _), us in life.long.items() if name == wanted)
        for wanted in sorted(names)
    }


def _require_equal(a: Life, b: Life) -> None:
    if a.calls != b.calls or not np.array_equal(a.hits, b.hits):
        raise ValueError("the two lives differ: they are not of the same days, seed and limits")
