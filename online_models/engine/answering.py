"""Answers of the models: which items a visitor will likely click next, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.engine.published import PublishedModels
from online_models.memory.layout import Limits
from online_models.ranking import page, rankings
from online_models.ranking.page import MAX_ANSWER
from online_models.ranking.policy import Asked, ItemView, Policy, checked
from online_models.ranking.request import (
    NO_FILTER,
    NO_SESSION,
    UNKNOWN_TIMES,
    Filter,
    Pool,
    Ranked,
    RequestWriter,
    Rows,
    page_size,
)
from online_models.sources import popularity
from online_models.state_tables import bind, new_arrays
from online_models.sweep import Sweep, phases_of
from online_models.tables.item_rows import CONFIRMED
from online_models.vectors.near_lists import NOTHING

NEAREST = 200
"""The most items that the vector index is asked for."""

UNLISTED = -10_000.0
"""Score of an item that is not among the best `MAX_ANSWER`; its popularity is added."""

Near = Callable[[], NDArray[np.int64]]
"""Returns rows near the items of the current query."""


class Answering(PublishedModels):
    """The part of `Engine` that answers."""

    def __init__(self, limits: Limits, seed: int) -> None:
        super().__init__(limits, new_arrays(limits, seed))
        a = self.arrays
        self._state = bind(a)
        self._counters, self._found = a["counters"], a["found"]
        self._clock, self._next_session = a["counters"]["clock"], a["counters"]["next_session"]
        self._sweep = Sweep(self, self._state, phases_of(self, self._state), self.deleted)
        self._request = RequestWriter(a, self.categories.numbers)
        self._query, self._answer, self._answer_score = a["query"], a["answer"], a["answer_score"]
        self._session_columns = tuple(
            a["sessions"][name] for name in ("number", "n", "slab", "at", "items")
        )
        self.policy: Policy | None = None
        """Re-orders what was ranked; None: nothing does."""
        self._view = ItemView(
            _read_only(a["target_vectors"]),
            _read_only(a["categories"]),
            _read_only(a["stats"]["clicks"]),
        )

    def make_room(self) -> None:
        """See `ItemRows.make_room`."""
        self._sweep.make_room()

    def replace_provisional(self) -> None:
        """See `ItemTable.replace_provisional`."""
        self._sweep.replace_unconfirmed()

    def kept(self) -> dict[str, Any]:
        """See `ItemRows.kept`."""
        return super().kept() | {"sweep": self._sweep.kept()}

    def keep(self, meta: dict[str, Any]) -> None:
        """See `ItemRows.keep`."""
        super().keep(meta)
        self._sweep.keep(meta["sweep"])

    # ---- what the models know

    @property
    def clicks(self) -> int:
        """Clicks learned so far: the models' clock."""
        return int(self._clock[0])

    @property
    def next_session(self) -> int:
        """The number of the next session."""
        return int(self._next_session[0])

    @property
    def examples(self) -> int:
        """Cases that the ranker has learned."""
        return int(self._counters["ranker_steps"][0])

    @property
    def ranking(self) -> str:
        """Name of the ranking that answers now, one of `rankings.NAMES`."""
        return rankings.NAMES[rankings.answering(self._state)]

    @property
    def prequential_scores(self) -> dict[str, dict[str, float]]:
        """Prequential hit rate@20 and MRR@20 of blend and ranker: each case before it is learned.

        Over about the last 500 sampled clicks; empty before the first one.
        """
        if not (self._counters["cases_scored"][0] or self.examples):
            return {}
        s = self.arrays["prequential"][0]
        return {
            name: {"hit_rate": float(s[f"hit_rate_{name}"]), "mrr": float(s[f"mrr_{name}"])}
            for name in ("blend", "ranker")
        }

    def session_rows(self, session: int) -> NDArray[np.int32]:
        """Return the rows kept of a session, in time order; empty if it was overwritten."""
        slot = session & (self.limits.max_sessions - 1)
        numbers, lengths, slabs, starts, items = self._session_columns
        if session < 0 or numbers[slot] != session + 1:
            return np.zeros(0, np.int32)
        n = lengths[slot]
        if slabs[slot] == 0:
            return items[slot, :n].copy()
        at = starts[slot]
        return self.arrays["session_arena"][at : at + n].copy()

    def beside_confirmed(self, session: int) -> bool:
        """See `ItemTable.beside_confirmed`."""
        flags = self.arrays["stats"]["flags"][self.session_rows(session)]
        return bool((flags & CONFIRMED).any())

    # ---- answers

    def recommend(
        self,
        items: Rows,
        k: int,
        own: int = NO_SESSION,
        flt: Filter | None = None,
        times_s: tuple[int, int] = UNKNOWN_TIMES,
        enter: Callable[[str], None] | None = None,
    ) -> Ranked:
        """Return ``k`` items that the visitor will likely click next.

        Parameters
        ----------
        items
            Rows of the session in click order, oldest first; the last 50 are read.
            Empty: popular items.
        k
            1..512. Fewer are returned only if fewer pass the filter.
        own
            Number of the session being answered, which is never its own neighbour.
        flt
            Which items may be in the answer.
        times_s
            Times of the session's last two clicks, the latest one second, in seconds since 1970.
            Unknown (0): those stored for session ``own``.
        enter
            Called with the name of each step as it begins, for who times them: ``candidates``,
            ``rank``, ``page`` and, where there is one, ``policy``.
        """
        size = page_size(k)
        if self.policy is not None:
            return self._ordered(self.policy, items, size, own, flt, times_s, enter)
        return self._answer_with(self._lists_of_latest, items, size, own, flt, times_s, enter)

    def _ordered(
        self,
        policy: Policy,
        items: Rows,
        size: int,
        own: int,
        flt: Filter | None,
        times_s: tuple[int, int],
        enter: Callable[[str], None] | None,
    ) -> Ranked:
        """Answer in the order of a policy."""
        depth = min(max(size, policy.depth), MAX_ANSWER)
        ranked = self._answer_with(self._lists_of_latest, items, depth, own, flt, times_s, enter)
        if enter is not None:
            enter("policy")
        asked = Asked(items, size, own, flt, self._request.number)
        order = policy.order(ranked.rows, ranked.scores, asked, self._view)
        order = checked(policy.name, order, len(ranked.rows))
        places, drawn = order.places[:size], order.propensities
        near_end = ranked.n_ranked + ranked.n_near
        return Ranked(
            ranked.rows[places],
            ranked.scores[places],
            int((places < ranked.n_ranked).sum()),
            int(((places >= ranked.n_ranked) & (places < near_end)).sum()),
            None if drawn is None else drawn[:size],
            None if drawn is None else Pool(ranked.rows, ranked.scores),
        )

    def _answer_with(
        self,
        near: Near,
        items: Rows,
        size: int,
        own: int,
        flt: Filter | None,
        times_s: tuple[int, int],
        enter: Callable[[str], None] | None = None,
    ) -> Ranked:
        """Answer; in a page that the counts cannot fill, near items come before popular ones.

        That happens with few clicks, and with new items. Near items are those whose target vectors
        are near the target vectors of the session's items: target vectors share content, whereas
        context vectors mostly reflect clicks.
        """
        self._request.write(items, size, own, flt, times_s)
        if enter is None:
            n, n_ranked = page.recommend(self._state)
        else:
            n, n_ranked = page.recommend_in_steps(self._state, enter)
        n_near = 0
        if self.index is not None and self._request.n_query and n_ranked < n:
            rows = near()
            self._request.write_again(size, own, flt, times_s)
            n, near_end = page.fill_with_near(self._state, n_ranked, rows)
            n_near = near_end - n_ranked
        return self._written(n, n_ranked, n_near)

    def _lists_of_latest(self) -> NDArray[np.int64]:
        """Return the rows on the lists of the query's latest items."""
        assert self.nearest is not None
        return self.nearest.near_to(reversed(self._query[: self._request.n_query].tolist()))

    def _nearest_to_last(self) -> NDArray[np.int64]:
        """Return the rows near the query's last item, by a query of the index."""
        assert self.index is not None
        vector = self.arrays["target_vectors"][self._query[self._request.n_query - 1]]
        return self.index.query(vector, NEAREST)[0] if vector.any() else NOTHING

    def _written(self, n: int, n_ranked: int, n_near: int = 0) -> Ranked:
        """Return a copy of a kernel's answer."""
        return Ranked(self._answer[:n].copy(), self._answer_score[:n].copy(), n_ranked, n_near)

    def similar(self, row: int, k: int, flt: Filter | None = None) -> Ranked:
        """Return ``k`` items that visitors of an item also click, without the item itself."""
        base = flt or NO_FILTER
        excluding = Filter(base.categories, (*base.excluded_rows, row), base.include_unavailable)
        return self._answer_with(
            self._nearest_to_last, [row], page_size(k), NO_SESSION, excluding, UNKNOWN_TIMES
        )

    def trending(self, k: int, flt: Filter | None = None) -> Ranked:
        """Return ``k`` items whose popularity grows fastest; scores are growth ratios."""
        self._request.write((), page_size(k), flt=flt)
        return self._written(page.trending(self._state), 0)

    def rank(self, items: Rows, rows: Sequence[int], own: int = NO_SESSION) -> NDArray[np.float32]:
        """Return the scores of the given rows (n,) for a session; unknown ones score lowest."""
        listed = self._longest_answer(items, own)
        best = dict(zip(listed.rows.tolist(), listed.scores.tolist(), strict=True))
        wanted = np.array(rows, np.int64)
        scores = np.empty(len(wanted), np.float32)
        popularity.log_popularities(self._state, wanted, scores)
        scores += UNLISTED
        scores[wanted == 0] = 2 * UNLISTED
        for i, row in enumerate(wanted.tolist()):
            if row in best:
                scores[i] = best[row]
        return scores

    def _longest_answer(self, items: Rows, own: int) -> Ranked:
        """Return the longest possible answer, including unavailable items."""
        every = Filter(include_unavailable=True)
        return self._answer_with(
            self._lists_of_latest, items, MAX_ANSWER, own, every, UNKNOWN_TIMES
        )


def _read_only(table: NDArray[Any]) -> NDArray[Any]:
    view = table.view()
    view.flags.writeable = False
    return view
