"""Sweeps: items that are worth least leave, and their rows become free in small steps.

A sweep has these phases, each done in steps of bounded work:

1. items leave: deleted ones, then those whose worth is below a bound that a sample of rows has set;
2. every table that names rows forgets them (`memory.table.Forget`), in the order of `TABLES`;
3. the entries of their rows are cleared, and the rows are free.

A sweep begins while some rows are still free, and proceeds with each new item, so that it ends
before they run out; and with each click, so that the steps are small.
"""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.memory.chain import over_places
from online_models.memory.state import State
from online_models.memory.table import Table
from online_models.sources.rules import has_rule_to
from online_models.state_tables import TABLES, used_entries
from online_models.tables.item_rows import CONFIRMED, DELETED, ItemRows, worth

BATCH_SHARE, LARGEST_SHARE = 32, 4
"""A sweep frees one row in `BATCH_SHARE`; more if it would otherwise be too much work for each new
item, but at most one in `LARGEST_SHARE`."""

PLACES_A_CLICK, MOST_PLACES = 64, 4_096
"""Places that are swept with each click, and the most with each new item: 0.3 ms."""

LEAVE_WORK, CLEAR_WORK, ROWS_AT_ONCE = 256, 32, 16
"""Work for an item that leaves, and for a row that is cleared, in places; the most rows in one
step."""

SAMPLE = 1_024
"""Rows by which the bound of the worth is chosen."""

ANY, UNCONFIRMED, LONE = range(3)
"""Which items leave: any; unconfirmed ones; or of these only those that were never clicked beside a
confirmed one, as the ids that a robot invents are clicked beside each other."""

LOOK_WORK = (1, 1, 4)
"""Work for a look at an item, in places: for the last, rules are read."""

_FORGETTING = tuple(table for table in TABLES if table.forget is not None)
_forget = over_places(
    "_forget", __name__, [table.forget.kernel for table in _FORGETTING if table.forget]
)


@njit(cache=True)
def _may_leave(st: State, row: int, which: int) -> bool:
    flags = st.stats[row].flags
    if not st.becomes[row] or flags & DELETED or (which != ANY and flags & CONFIRMED):
        return False
    return which != LONE or not has_rule_to(st, row, CONFIRMED)


@njit(cache=True)
def _sample(
    st: State, rows: int, first: int, which: int, clock: int, out: NDArray[np.float64]
) -> int:
    """Set ``out`` to the worth of rows that may leave, at even distances; return how many."""
    n = 0
    most = len(out)
    step = max(rows // most, 1)
    for i in range(min(rows, most)):
        row = 1 + (first + i * step) % rows
        if _may_leave(st, row, which):
            out[n] = worth(st, row, clock)
            n += 1
    return n


@njit(cache=True)
def _worth_least(  # type: ignore[no-untyped-def]
    st: State,
    first: int,
    end: int,
    rows: int,
    which: int,
    clock: int,
    bound: float,
    most: int,
    out: NDArray[np.int64],
):
    """Find rows whose worth is at most ``bound``; return (rows looked at, rows in ``out``)."""
    n = 0
    for i in range(first, end):
        if n == most:
            return i - first, n
        row = 1 + i % rows
        if _may_leave(st, row, which) and worth(st, row, clock) <= bound:
            out[n] = row
            n += 1
    return end - first, n


@njit(cache=True)
def _keep_worth(st: State, rows: NDArray[np.int64], clock: int, out: NDArray[np.float64]) -> None:
    """Set ``out`` to the worth of items; that of deleted ones is the least."""
    for i in range(len(rows)):
        deleted = st.stats[rows[i]].flags & DELETED
        out[i] = -np.inf if deleted else worth(st, rows[i], clock)


class Phase(NamedTuple):
    """How something that names rows forgets those that leave.

    Parameters
    ----------
    places
        Returns how many places it has.
    forget
        Forgets them in the places ``first`` to ``end - 1``.
    cost
        Work of a place; see `memory.table.Forget`.
    leaving
        Whether the places may name an item that leaves.
    """

    places: Callable[[], int]
    forget: Callable[[int, int], None]
    cost: int = 1
    leaving: bool = True

    @property
    def swept(self) -> int:
        """Places that a sweep visits."""
        return self.places() if self.leaving else 0

    @property
    def work(self) -> int:
        """Work of the whole phase in a sweep."""
        return self.swept * self.cost


def phases_of(items: ItemRows, state: State, used: Collection[Table] = TABLES) -> list[Phase]:
    """Return the phases for the tables in ``used``."""
    return [_phase(which, items, state) for which, t in enumerate(_FORGETTING) if t in used]


def _phase(which: int, items: ItemRows, state: State) -> Phase:
    table = _FORGETTING[which]
    assert table.forget is not None
    places = table.forget.places

    def count() -> int:
        return (
            places
            if isinstance(places, int)
            else used_entries(places or table.name, items.arrays, items.limits)
        )

    def forget(first: int, end: int) -> None:
        _forget(state, which, first, end)

    return Phase(count, forget, table.forget.cost, table.forget.leaving)


class Sweep:
    """Sweeps the tables of a model, one step at a time.

    Parameters
    ----------
    items
        The items, which leave by `ItemRows.leave`.
    state
        The kernels' view of the tables.
    phases
        What names rows.
    deleted
        Rows that leave first. Ordered: in a plain dictionary, the first is found only after the
        places of all that were taken before it.
    """

    def __init__(
        self,
        items: ItemRows,
        state: State,
        phases: Sequence[Phase],
        deleted: OrderedDict[int, None] | None = None,
    ) -> None:
        self._items = items
        self._state = state
        self._phases = phases
        self._renewed = [t for t in TABLES if t.by_row and not t.view_of]
        self._out = np.zeros(ROWS_AT_ONCE, np.int64)
        self._deleted = deleted if deleted is not None else OrderedDict[int, None]()
        self.budget = math.inf
        """Work that clicks and new items may still do, in places; see `Engine.one_turn`."""
        self.low = self._largest()
        """A sweep begins with fewer free rows than this."""
        self.active = False
        self.which = ANY
        """Which items leave."""
        self.hand = 0
        """Row at which the search for items goes on, minus one."""
        self.wanted = 0
        """Items that are yet to leave."""
        self.bound = 0.0
        self.phase = -1
        """Place of the phase: -1: items leave; the last one: rows are cleared."""
        self.at, self.size = 0, 0
        """Next place of the phase, and number of its places."""

    # ---- when to sweep

    def make_room(self) -> None:
        """Begin a sweep once few rows are free, and do a new item's part of it."""
        if self.budget <= 0:
            return
        spare = self._items.spare
        if not self.active:
            if spare >= self.low:
                return
            self.low = self._batch()
            if spare >= self.low:
                return
            self._begin(self.low, UNCONFIRMED if self._items.many_unconfirmed else ANY)
        self.spend(min(-(-self._left() // spare), MOST_PLACES) if spare else MOST_PLACES)

    def replace_unconfirmed(self) -> None:
        """Begin a sweep in which unconfirmed items leave."""
        if not self.active and self.budget > 0:
            self._begin(self._batch(), UNCONFIRMED)

    def spend(self, work: int) -> None:
        """Do about ``work`` places, as far as the budget allows.

        A step may do more, such as an item that leaves for a click's few places: that counts.
        """
        work = int(min(work, self.budget))
        if work > 0:
            self.budget -= max(work, self.step(work))

    def _batch(self) -> int:
        """Return how many rows a sweep frees."""
        most = self._items.limits.max_items
        by_work = -(-self._work() // (MOST_PLACES - LEAVE_WORK - CLEAR_WORK))
        return min(max(most // BATCH_SHARE, by_work, 1), self._largest())

    def _largest(self) -> int:
        return max(self._items.limits.max_items // LARGEST_SHARE, 1)

    def _work(self) -> int:
        return len(self._items.ids) + sum(phase.work for phase in self._phases)

    def _left(self) -> int:
        """Return the work until the end of the sweep, in places."""
        now = self._phases[self.phase].cost if 0 <= self.phase < len(self._phases) else 1
        later = sum(phase.work for phase in self._phases[self.phase + 1 :])
        batch = self.wanted + len(self._items.leaving)
        return (self.size - self.at) * now + later + (LEAVE_WORK + CLEAR_WORK) * batch

    def _begin(self, wanted: int, which: int) -> None:
        self.active, self.wanted = True, wanted
        self.phase, self.at, self.size = -1, 0, len(self._items.ids) - 1
        if which == UNCONFIRMED:
            self.bound, enough = self._bound(LONE)
            if enough:
                self.which = LONE
                return
        self.which = which
        self.bound, _ = self._bound(which)

    def _bound(self, which: int) -> tuple[float, bool]:
        """Return the worth that about `wanted` items are below, and whether there are so many."""
        sample = np.zeros(SAMPLE)
        self.budget -= SAMPLE * LOOK_WORK[which]
        rows, clock = self.size, self._items.clock
        n = _sample(self._state, rows, self.hand, which, clock, sample)
        if n == 0:
            return -np.inf, False
        share = self.wanted / (rows * n / min(rows, SAMPLE))
        return float(np.quantile(sample[:n], min(share, 1.0))), share <= 1

    # ---- all at once, while a snapshot is read

    def evict(self, rows: int) -> None:
        """Let the items that are worth least leave until at most ``rows`` are left; finish."""
        items = self._items
        used = np.array(sorted(items.rows.values()), np.int64)
        kept_worth = np.empty(len(used))
        _keep_worth(self._state, used, items.clock, kept_worth)
        order = np.argsort(kept_worth, kind="stable")
        for row in used[order[: max(len(used) - rows, 0)]].tolist():
            items.leave(row)
        if items.leaving:
            items.have_left()
            self.active = True
            self._visit_all()
            self.step(sys.maxsize)
        self.end()

    def move(self, becomes: NDArray[np.int32]) -> None:
        """Replace rows by others wherever a table names them."""
        self._items.arrays["becomes"][:] = becomes
        for phase in self._phases:
            phase.forget(0, phase.places())

    def start_over(self) -> None:
        """Note that entries have other places: a sweep under way visits all tables again."""
        if not self.active:
            self.end()
        elif self.phase >= 0:
            self._visit_all()

    # ---- the steps

    def step(self, work: int) -> int:
        """Do about ``work`` places of the sweep; return how many it were."""
        done = 0
        while done < work and self.active:
            done += self._advance(work - done)
        return done

    def _advance(self, work: int) -> int:
        if self.phase < 0:
            return self._let_leave(work)
        if self.phase == len(self._phases):
            return self._clear()
        phase = self._phases[self.phase]
        end = min(self.at + max(work // phase.cost, 1), self.size)
        phase.forget(self.at, end)
        done, self.at = (end - self.at) * phase.cost, end
        if end == self.size:
            self._next_phase()
        return max(done, 1)

    def _visit_all(self) -> None:
        self.phase = -1
        self._next_phase()

    def _next_phase(self) -> None:
        self.phase += 1
        self.at = 0
        last = self.phase == len(self._phases)
        self.size = 0 if last else self._phases[self.phase].swept

    def _let_leave(self, work: int) -> int:
        items = self._items
        if self.wanted and self._deleted:
            items.leave(next(iter(self._deleted)))
            self.wanted -= 1
            return LEAVE_WORK
        done = 0
        if self.wanted and self.at < self.size:
            look = LOOK_WORK[self.which]
            most = min(self.wanted, ROWS_AT_ONCE, max(work // LEAVE_WORK, 1))
            end = min(self.at + max(work // look, 1), self.size)
            looked, n = _worth_least(
                self._state, self.hand, self.hand + end - self.at, self.size,
                self.which, items.clock, self.bound, most, self._out,
            )  # fmt: skip
            for row in self._out[:n].tolist():
                items.leave(row)
            self.wanted -= n
            self.at += looked
            self.hand = (self.hand + looked) % self.size
            done = looked * look + n * LEAVE_WORK
        if self.at == self.size or not self.wanted:
            self.wanted = 0
            items.have_left()
            if items.leaving:
                self._next_phase()
            else:
                self.end()
        return max(done, 1)

    def _clear(self) -> int:
        """Clear the entries of some rows, which are free then."""
        items = self._items
        rows = np.array(items.leaving[:ROWS_AT_ONCE], np.int64)
        del items.leaving[:ROWS_AT_ONCE]
        for table in self._renewed:
            array = items.arrays[table.name]
            if len(array) < len(items.arrays["becomes"]):
                continue
            if table.renew is not None:
                table.renew(array, rows)
            else:
                array[rows] = 0
        items.arrays["stats"]["flags"][rows] = DELETED
        items.set_free(rows.tolist())
        if not items.leaving:
            self.end()
        return len(rows) * CLEAR_WORK

    def end(self) -> None:
        """Do nothing until few rows are free."""
        self.active = False
        self.low = self._largest()

    # ---- what a snapshot keeps

    _KEPT = ("low", "active", "which", "hand", "wanted", "bound", "phase", "at", "size")

    def kept(self) -> dict[str, Any]:
        """Return where the sweep is."""
        return {name: getattr(self, name) for name in self._KEPT}

    def keep(self, kept: dict[str, Any]) -> None:
        """Go on where `kept` was called."""
        for name, value in kept.items():
            setattr(self, name, value)
