"""The models as one object: items are strings outside and rows inside.

One thread at a time. Learning is click by click; answering changes nothing that a later
answer could see.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_models import learning as online
from online_models import snapshot as snapshots
from online_models.memory.layout import (
    CASES_SCORED,
    CLOCK,
    FIELDS,
    MAX_ANSWER,
    MAX_FILTER_CATEGORIES,
    MAX_QUERY_ITEMS,
    N_LEFT_OUT,
    NEXT_SESSION,
    REQUEST,
    SOURCES,
    STEPS,
    Limits,
    State,
)
from online_models.published import LearnedElsewhere
from online_models.ranking import answer, blend
from online_models.ranking import network as ranker
from online_models.ranking.blend_weights import READINGS
from online_models.ranking.features import N_FEATURES
from online_models.sources import learn_click as learn
from online_models.sources import popularity, retrieve
from online_models.vectors import two_towers as vectors
from online_models.vectors.index import VectorIndex
from online_models.vectors.near_lists import NOTHING

DEFAULT_SAMPLE = 2
"""One click in two teaches the ranker: 60 to 100 us a click. All of them cost half as much again
and gain nothing beyond noise on the validation splits; one in four loses 0.1 to 0.3 points."""

NEAREST = 200
"""Items that the vector index is asked for at most."""

UNKNOWN_TIMES = (0, 0)

UNLISTED = -10_000.0
"""Score of an item that is not among the best `MAX_ANSWER`, before its popularity."""

SOURCE_NAMES = (
    "session-knn", "session-knn", "session-knn", "session-knn",
    "rules", "covisitation", "rules", "rules", "covisitation", "rules", "rules", "covisitation",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Filter:
    """Which items may be answered.

    Parameters
    ----------
    categories
        Only items in one of these, at most 64; empty: all.
    excluded_rows
        Never these.
    include_unavailable
        Also items that the catalogue marks as not available.
    """

    categories: tuple[str, ...] = ()
    excluded_rows: tuple[int, ...] = ()
    include_unavailable: bool = False


NO_FILTER = Filter()


class Ranked(NamedTuple):
    """Items of an answer, best first: rows (n,) int32 and scores (n,) float32.

    Scores are comparable within one answer only.
    """

    rows: NDArray[np.int32]
    scores: NDArray[np.float32]


class Example(NamedTuple):
    """A case for the ranker: candidates, best of the blend first.

    Features (N_FEATURES, n) float32 are a view that the next call overwrites; ``target`` is
    the place of the item that came next, -1 if it is no candidate (then n is 0).
    """

    item_ids: list[str]
    features: NDArray[np.float32]
    target: int


class Engine(LearnedElsewhere):
    """Streaming session-kNN, rules, co-visits and popularity, blended into one ranking.

    Parameters
    ----------
    limits
        Bounds of memory; see `Limits`.
    seed
        Seed of whatever is random. The counts are not; kept for the learned models.
    weights
        Weights of the ranking (33,); one of `weights.READINGS`.
    sample
        Learn vectors, and the ranker from one click in so many; 0: neither.
    remote
        Vectors and ranker are learned elsewhere and come by `put_vectors` and `put_ranker`.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        seed: int = 0,
        weights: NDArray[np.float32] = READINGS["blend"],
        sample: int = DEFAULT_SAMPLE,
        remote: bool = False,
    ) -> None:
        if remote and sample:
            raise ValueError("a remote engine learns neither vectors nor ranker: sample must be 0")
        limits = limits or Limits()
        super().__init__(limits, ranker.allocate_models(limits, seed))
        self.seed = seed
        self.sample = sample
        self.remote = remote
        self._n_query = 0
        self.arrays["weights"][: len(weights)] = weights
        self._bind()

    def _bind(self) -> None:
        """Bind the kernels' view of the arrays."""
        self._state = State(*[self.arrays[name] for name in FIELDS])
        self._ctr = self.arrays["ctr"]
        self._query = self.arrays["query"]
        self._stats = self.arrays["stats"]
        self._answer = self.arrays["answer"]
        self._answer_score = self.arrays["answer_score"]
        self._session_columns = tuple(
            self.arrays["sessions"][name] for name in ("number", "n", "slab", "at", "items")
        )

    @property
    def _ranks(self) -> bool:
        """Whether there is a ranker at all."""
        return self.remote or self.sample > 0

    @property
    def clicks(self) -> int:
        """Clicks learned so far: the models' clock."""
        return int(self._ctr[CLOCK])

    @property
    def examples(self) -> int:
        """Cases that the ranker has learned."""
        return int(self._ctr[STEPS])

    @property
    def ranking(self) -> str:
        """Name of the ranking that answers now: ``ranker``, or ``blend`` until it is better."""
        if self._ranks and online.ranker_serves(self._state):
            return "ranker"
        return "blend"

    @property
    def live_scores(self) -> dict[str, dict[str, float]]:
        """Running hit rate@20 and MRR@20 of blend and ranker on clicks, each before it is learned.

        Over about the last 500 sampled clicks; empty before the first.
        """
        if not (self._ctr[CASES_SCORED] or (self.remote and self.examples)):
            return {}
        mrr_blend, mrr_ranker, hit_blend, hit_ranker = self.arrays["case_scores"][:4].tolist()
        return {
            "blend": {"hit_rate": hit_blend, "mrr": mrr_blend},
            "ranker": {"hit_rate": hit_ranker, "mrr": mrr_ranker},
        }

    @property
    def next_session(self) -> int:
        """The number that `open_session` gives next."""
        return int(self._ctr[NEXT_SESSION])

    def begin_row(self, row: int) -> None:
        """Give a new item its first vectors."""
        if self.sample:
            vectors.begin_vector(self._state, row)

    def note_content(self, row: int, tokens: Sequence[int]) -> None:
        """Note an item's content; its vectors follow it, where they are learned here."""
        if self.sample:
            vectors.set_tokens(self.arrays, self._state, row, tokens)
        else:
            self.arrays["item_tokens"][row] = 0
            self.arrays["item_tokens"][row, : len(tokens)] = tokens

    def begin_index(self) -> VectorIndex:
        """See `LearnedElsewhere.begin_index`; vectors learned here take in all of their content."""
        for row in range(1, len(self.ids) if self.sample else 0):
            vectors.refresh(self._state, row)
        return super().begin_index()

    def example(self, session: int, item_id: str) -> Example | None:
        """Return the case that a click is about to make; to be called before it is learned.

        None where it makes none: the item or the session's last one has no row, the session
        is empty, or the models know too little yet (`online.LEARN_FROM_CLICK`).
        """
        row, items = self.rows.get(item_id, 0), self.session_rows(session)
        if row == 0 or len(items) == 0 or items[-1] == 0 or self.clicks < online.LEARN_FROM_CLICK:
            return None
        n_query = self._set_query(items)
        n, place = online.make_case(self._state, n_query, session, row)
        if place < 0:
            return Example([], np.zeros((N_FEATURES, 0), np.float32), -1)
        rows = self.arrays["pool"][self.arrays["candidates"][:n]]
        ids = [self.ids[candidate] for candidate in rows.tolist()]
        return Example(ids, self.arrays["features"][:, :n], int(place))

    def leave_out(self, columns: Sequence[int]) -> None:
        """Do without some sources and features: to find out what they are worth.

        ``columns`` are those of the pool (below `layout.SOURCES`), then the features; a source
        whose columns are all left out is not asked.
        """
        self.arrays["left_out"][:] = 0
        self.arrays["left_out"][list(columns)] = 1
        self._ctr[N_LEFT_OUT] = len(columns)

    # ---- sessions

    def open_session(self) -> int:
        """Return the next session number; its slot is that of ``number - max_sessions``."""
        number = int(self._ctr[NEXT_SESSION])
        self._ctr[NEXT_SESSION] = number + 1
        return number

    def session_rows(self, session: int) -> NDArray[np.int32]:
        """Rows that are kept of a session, in time order; empty if it was overwritten."""
        slot = session & (self.limits.max_sessions - 1)
        numbers, lengths, slabs, starts, items = self._session_columns
        if session < 0 or numbers[slot] != session + 1:
            return np.zeros(0, np.int32)
        n = lengths[slot]
        if slabs[slot] == 0:
            return items[slot, :n].copy()
        at = starts[slot]
        return self.arrays["arena"][at : at + n].copy()

    def learn(self, session: int, item_id: str, place: int | None = None, at_s: int = 0) -> None:
        """Learn a step: the item enters the session at ``place`` and every count.

        Parameters
        ----------
        session
            Number from `open_session`.
        item_id
            The item. Without a row in a full table it only takes its place.
        place
            Index among the kept steps of the session; None: at the end.
        at_s
            When it was: seconds since 1970, 0 if unknown.
        """
        row = self.rows.get(item_id) or self._admit(item_id, session)
        at = -1 if place is None else place
        if self.sample:
            sessions = online.learn_online(self._state, session, row, at, at_s, self.sample)
        else:
            sessions = learn.learn_step(self._state, session, row, at, at_s)
        if sessions == 2:
            self._confirm(row)

    def strengthen(self, item_id: str, weight: float = 1.0) -> None:
        """Count ``weight`` more clicks of an item, in its popularity only."""
        row = self.rows.get(item_id, 0)
        if row:
            popularity.count_click(self._state, row, weight)

    def forget_session(self, session: int) -> None:
        """Erase a session: it votes no more. What it added to counts stays."""
        slot = session & (self.limits.max_sessions - 1)
        e = self.arrays["sessions"][slot]
        if session >= 0 and e["number"] == session + 1:
            e["n"] = 0

    # ---- answers

    def recommend(
        self,
        items: Sequence[int] | NDArray[np.int32],
        k: int,
        own: int = -1,
        flt: Filter | None = None,
        times_s: tuple[int, int] = UNKNOWN_TIMES,
    ) -> Ranked:
        """Return ``k`` items that the visitor will likely turn to next.

        Parameters
        ----------
        items
            Rows of the session in click order, oldest first; the last 50 are read.
            Empty: popular items.
        k
            1..512. Fewer come back only if fewer pass the filter.
        own
            Number of the session being answered, which is never its own neighbour.
        flt
            Which items may be answered.
        times_s
            When the session's last two clicks were, the last one second: seconds since 1970.
            Unknown (0): those held of session ``own``.
        """
        return self._answer_with(self._lists_of, items, k, own, flt, times_s)

    def _answer_with(
        self,
        near: Callable[[int], NDArray[np.int64]],
        items: Sequence[int] | NDArray[np.int32],
        k: int,
        own: int,
        flt: Filter | None,
        times_s: tuple[int, int],
    ) -> Ranked:
        """Answer; a page that the counts cannot fill has what is near before what is popular.

        That is where the counts know less than a page: few clicks, and new items. Near are
        those that would be wanted where the session's would: the items' own vectors say how
        content is shared, what a session reads only what the clicks have said.
        """
        n_query = self._set_query(items)
        selection = self._set_filter(flt)
        if self._ranks:
            n = online.recommend_ranked(self._state, n_query, own, *times_s, _page(k), *selection)
        else:
            n = answer.recommend(self._state, n_query, own, _page(k), *selection)
        if self.index is not None and n_query and self._answer_score[n - 1] <= answer.FILL_SCORE:
            rows = near(n_query)
            ranked = int((self._answer_score[:n] > answer.FILL_SCORE).sum())
            n = answer.fill_with(self._state, ranked, k, rows, *self._set_filter(flt))
        return self._ranked(n)

    def _lists_of(self, n_query: int) -> NDArray[np.int64]:
        """Return the rows on the lists of the query's latest items."""
        assert self.nearest is not None
        return self.nearest.near_to(reversed(self._query[:n_query].tolist()))

    def _nearest_to_last(self, n_query: int) -> NDArray[np.int64]:
        """Return the rows near to the query's last item, asked of the index now."""
        assert self.index is not None
        vector = self.arrays["vectors_out"][self._query[n_query - 1]]
        return self.index.query(vector, NEAREST)[0] if vector.any() else NOTHING

    @property
    def asked(self) -> tuple[int, int]:
        """What tells the last answer from all others: the models' clock, and its number."""
        return int(self._ctr[CLOCK]), int(self._ctr[REQUEST])

    def shadow(self, k: int, asked: tuple[int, int]) -> tuple[str, Ranked] | None:
        """Return what the other ranking would have answered instead of the last `recommend`.

        Its name and up to ``k`` items, without those that only fill a page; None where one
        ranking is all there is, the query has no candidates, or `asked` is no longer what it was
        after that answer: another one, or a click, has overwritten its candidates.
        """
        if asked != self.asked:
            return None
        if not self._ranks or self.examples == 0 or self._n_query == 0:
            return None
        other = "blend" if self.ranking == "ranker" else "ranker"
        n = online.shadow(self._state, self._n_query, _page(k))
        return (other, self._ranked(n)) if n else None

    def diversity(self, rows: NDArray[np.int32]) -> float:
        """Return 1 less the mean cosine of each two items' vectors; 0 for fewer than two.

        Intra-list similarity (Ziegler et al., WWW 2005) with learned vectors instead of topics.
        """
        return float(vectors.diversity(self._state, rows))

    def popularity(self, rows: NDArray[np.int32]) -> float:
        """Return the mean of log(1 + clicks) of some items; 0 for none."""
        return float(popularity.mean_log_clicks(self._state, rows))

    def candidates(
        self, items: Sequence[int] | NDArray[np.int32], own: int = -1
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return all that the sources name for a session.

        Returns
        -------
        Rows (n,) int32 and raw scores (n, 12) float32, by source as in `layout.KNN` to
        `layout.HOP_COV`; unordered. n is at most `layout.POOL`.
        """
        n_query = self._set_query(items)
        n = retrieve.retrieve(self._state, n_query, own) if n_query else 0
        return self.arrays["pool"][:n].copy(), self.arrays["score"][:n, :SOURCES].copy()

    def rank(
        self, items: Sequence[int] | NDArray[np.int32], rows: Sequence[int], own: int = -1
    ) -> NDArray[np.float32]:
        """Return the scores of the given rows (n,) for a session; unknown ones score lowest."""
        listed = self.recommend(items, MAX_ANSWER, own, Filter(include_unavailable=True))
        best = dict(zip(listed.rows.tolist(), listed.scores.tolist(), strict=True))
        scores = np.empty(len(rows), np.float32)
        for i, row in enumerate(rows):
            if row in best:
                scores[i] = best[row]
            elif row > 0:
                scores[i] = UNLISTED + popularity.log_popularity(self._state, row)
            else:
                scores[i] = 2 * UNLISTED
        return scores

    def similar(self, row: int, k: int, flt: Filter | None = None) -> Ranked:
        """Return ``k`` items that visitors of one item also turn to; without the item."""
        base = flt or NO_FILTER
        excluding = Filter(base.categories, (*base.excluded_rows, row), base.include_unavailable)
        return self._answer_with(self._nearest_to_last, [row], k, -1, excluding, UNKNOWN_TIMES)

    def trending(self, k: int, flt: Filter | None = None) -> Ranked:
        """Return ``k`` items whose popularity grows fastest; scores are growth ratios."""
        n = answer.trending(self._state, _page(k), *self._set_filter(flt))
        return self._ranked(n)

    def explain(
        self, items: Sequence[int] | NDArray[np.int32], row: int, own: int = -1
    ) -> list[tuple[str, float, list[int]]]:
        """Return why an item is answered: (source, share 0..1, rows that speak for it).

        Shares are those of the positive terms of the blend. The rows are the session's
        items that, alone, give the item the highest score; at most 3.
        """
        shares = self._shares(items, row, own)
        alone: list[tuple[float, int]] = []
        for a in dict.fromkeys(int(r) for r in reversed(list(items)[-8:]) if r):
            score = float(self.rank([a], [row], own)[0])
            if score > answer.FILL_SCORE:
                alone.append((score, a))
        because = [a for _, a in sorted(alone, reverse=True)[:3]]
        ranked = sorted(shares.items(), key=lambda s: -s[1])
        return [
            (source, share, [] if source == "popularity" else because)
            for source, share in ranked
            if share > 0
        ]

    def _shares(
        self, items: Sequence[int] | NDArray[np.int32], row: int, own: int
    ) -> dict[str, float]:
        n_query = self._set_query(items)
        st = self._state
        n = retrieve.retrieve(st, n_query, own) if n_query else 0
        places = np.flatnonzero(self.arrays["pool"][:n] == row)
        if len(places) == 0:
            return {"popularity": 1.0}
        blend.blend(st, n)
        values = np.zeros(blend.N_WEIGHTS, np.float32)
        blend.features(st, int(places[0]), values)
        terms = np.maximum(values * self.arrays["weights"][: blend.N_WEIGHTS], 0)
        shares: dict[str, float] = {}
        for k, term in enumerate(terms.tolist()):
            if k < 2 * SOURCES:
                name = SOURCE_NAMES[k % SOURCES]
            else:
                name = "popularity" if k < blend.W_OWN else "own-items"
            shares[name] = shares.get(name, 0.0) + term
        total = sum(shares.values()) or 1.0
        return {name: share / total for name, share in shares.items()}

    def _ranked(self, n: int) -> Ranked:
        """Copy what a kernel has answered."""
        return Ranked(self._answer[:n].copy(), self._answer_score[:n].copy())

    def _set_query(self, items: Sequence[int] | NDArray[np.int32]) -> int:
        tail = items[-MAX_QUERY_ITEMS:]
        n = len(tail)
        self._query[:n] = tail
        self._n_query = n
        return n

    def _set_filter(self, flt: Filter | None) -> tuple[int, bool, bool]:
        """Write a filter where the kernels read it: (categories, unavailable too, marks)."""
        self._ctr[REQUEST] = (int(self._ctr[REQUEST]) + 1) & 0x7FFFFFFF
        if flt is None:
            return 0, False, False
        if len(flt.categories) > MAX_FILTER_CATEGORIES:
            raise ValueError(f"at most {MAX_FILTER_CATEGORIES} categories in a filter")
        for i, name in enumerate(flt.categories):
            self.arrays["filter_categories"][i] = self.category_numbers.get(name, -1)
        if flt.excluded_rows:
            self.arrays["marks"][list(flt.excluded_rows)] = self._ctr[REQUEST]
        return len(flt.categories), flt.include_unavailable, bool(flt.excluded_rows)

    # ---- snapshots

    def snapshot(self, path: Path) -> None:
        """Write everything that was learned into the folder ``path``, which must not exist."""
        snapshots.write(self, path)

    @classmethod
    def restore(cls, path: Path) -> Engine:
        """Read what `snapshot` wrote.

        Raises
        ------
        SnapshotError
            If the folder is damaged or of another version.
        """
        return snapshots.read(cls, path)


def _page(k: int) -> int:
    if not 1 <= k <= MAX_ANSWER:
        raise ValueError(f"k must be 1..{MAX_ANSWER}, not {k}")
    return k
