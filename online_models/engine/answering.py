"""Answers of the models: which items a visitor will likely click next, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.engine.published import PublishedModels
from online_models.memory.layout import Limits
from online_models.ranking import page, rankings
from online_models.ranking.page import MAX_ANSWER
from online_models.ranking.policy import Asked, ItemView, Policy, checked
from online_models.ranking.request import (
    NO_SESSION,
    UNKNOWN_TIMES,
    Filter,
    Past,
    Ranked,
    RequestWriter,
    Rows,
    page_size,
)
from online_models.sources import popularity
from online_models.sources.context_popularity import ContextCounts, Said, opening
from online_models.state_tables import bind, new_arrays
from online_models.sweep import Sweep, phases_of
from online_models.tables.item_rows import CONFIRMED
from online_models.vectors.near_lists import NOTHING

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
        self._request = RequestWriter(a, self._state, self.categories.numbers, self.facts)
        self._query, self._answer, self._answer_score = a["query"], a["answer"], a["answer_score"]
        self._session_columns = tuple(
            a["sessions"][name] for name in ("number", "n", "slab", "at", "items")
        )
        self.contexts = ContextCounts()
        """Clicks by what is said of their contexts."""
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

    def have_left(self) -> None:
        """See `ItemRows.have_left`."""
        super().have_left()
        self.contexts.forget_openings()

    def kept(self) -> dict[str, Any]:
        """See `ItemRows.kept`."""
        of_contexts = list(self.contexts.dump())
        return super().kept() | {"sweep": self._sweep.kept(), "contexts": of_contexts}

    def keep(self, meta: dict[str, Any]) -> None:
        """See `ItemRows.keep`."""
        super().keep(meta)
        self._sweep.keep(meta["sweep"])
        self.contexts.load(meta.get("contexts", ()))  # of earlier versions, there are none

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

    def at(self, now_s: int) -> None:
        """Say the time of the answers that follow, in seconds since 1970.

        By it, items are available or not that are so for some time only. Models that are never told
        look at no item's time.
        """
        self._request.now_s = now_s

    def set_rates(self, long: float, short: float) -> None:
        """Let popularity decay at other rates, in clicks, from now on."""
        popularity.set_rates(self.arrays, long, short)

    def recommend(
        self,
        items: Rows,
        k: int,
        own: int = NO_SESSION,
        flt: Filter | None = None,
        times_s: tuple[int, int] = UNKNOWN_TIMES,
        enter: Callable[[str], None] | None = None,
        said: Said = (),
        past: Past | None = None,
    ) -> Ranked:
        """Return ``k`` items that the visitor will likely click next.

        Parameters
        ----------
        items
            Rows of the session in click order, oldest first; the last 50 are read.
            Empty: what the user's past leads to; without one, popular items, near ones first that
            are clicked more in this context.
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
        said
            What is said of the visitor's context: device, country, channel.
        past
            What the user did before this session; None or empty: nothing is known of that.
        """
        size = page_size(k)
        near = self._lists_of_latest
        if not len(items) and any(said):
            near = partial(opening, self.contexts, said, self.arrays, self.rows)
        if self.policy is not None:
            return self._ordered(self.policy, near, items, size, own, flt, times_s, enter, past)
        return self._answer_with(near, items, size, own, flt, times_s, enter, past)

    def _ordered(
        self,
        policy: Policy,
        near: Near,
        items: Rows,
        size: int,
        own: int,
        flt: Filter | None,
        times_s: tuple[int, int],
        enter: Callable[[str], None] | None,
        past: Past | None,
    ) -> Ranked:
        """Answer in the order of a policy."""
        depth = min(max(size, policy.depth), MAX_ANSWER)
        ranked = self._answer_with(near, items, depth, own, flt, times_s, enter, past)
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
            ranked.from_past,
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
        past: Past | None = None,
    ) -> Ranked:
        """Answer; in a page that the counts cannot fill, near items come before popular ones.

        That happens with few clicks, and with new items. Near items are those whose target vectors
        are near the target vectors of the session's items: target vectors share content, whereas
        context vectors mostly reflect clicks. Without a session, they are those of its context.
        """
        self._request.write(items, size, own, flt, times_s, past)
        if enter is None:
            n, n_ranked = page.recommend(self._state)
        else:
            n, n_ranked = page.recommend_in_steps(self._state, enter)
        n_near = 0
        rows = near() if n_ranked < n else NOTHING
        if len(rows):
            self._request.write_again(size, own, flt, times_s)
            n, near_end = page.fill_with_near(self._state, n_ranked, rows)
            n_near = near_end - n_ranked
        return self._written(n, n_ranked, n_near)

    def _lists_of_latest(self) -> NDArray[np.int64]:
        """Return the rows on the lists of the query's latest items."""
        if self.nearest is None:
            return NOTHING
        return self.nearest.near_to(reversed(self._query[: self._request.n_query].tolist()))

    def _written(self, n: int, n_ranked: int, n_near: int = 0) -> Ranked:
        """Return a copy of a kernel's answer."""
        rows, scores = self._answer[:n].copy(), self._answer_score[:n].copy()
        return Ranked(rows, scores, n_ranked, n_near, from_past=self._request.first_page)

    def trending(self, k: int, flt: Filter | None = None) -> Ranked:
        """Return ``k`` items whose popularity grows fastest; scores are growth ratios."""
        self._request.write((), page_size(k), flt=flt)
        return self._written(page.trending(self._state), 0)

    def rank(
        self,
        items: Rows,
        rows: Sequence[int],
        own: int = NO_SESSION,
        past: Past | None = None,
    ) -> NDArray[np.float32]:
        """Return the scores of the given rows (n,) for a session; unknown ones score lowest."""
        listed = self._longest_answer(items, own, past)
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

    def _longest_answer(self, items: Rows, own: int, past: Past | None) -> Ranked:
        """Return the longest possible answer, including unavailable items."""
        every = Filter(include_unavailable=True)
        return self._answer_with(
            self._lists_of_latest, items, MAX_ANSWER, own, every, UNKNOWN_TIMES, past=past
        )


def _read_only(table: NDArray[Any]) -> NDArray[Any]:
    view = table.view()
    view.flags.writeable = False
    return view
