"""The rolling score of one ranking: its last cases, windows over them, drift and calibration.

Cases are in a ring that is stored block by block. What can be recomputed from it (windows, drift
detector) is recomputed after a restart.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from river import drift, linear_model, optim

from nextclick.limits import MAX_SCORE_DRIFTS, SCORED_ITEMS
from nextclick.v1 import scoreboard_pb2 as pb
from online_models import metrics

CUTOFFS = (5, 10, 20)
WINDOWS = (1_000, 10_000)
BLOCK = 125
"""Cases that are stored as one row."""

FADING = 1 / 1_000
"""Weight of a new answer in the click-through rate, of a new case in the calibration check."""

LEARNING_RATE = 0.02

CASE = np.dtype(
    [
        ("answered_ms", "<i8"),
        ("diversity", "<f4"),  # NaN where it was not sampled
        ("popularity", "<f4"),
        ("items", "<u4", (SCORED_ITEMS,)),  # `id_hash` of the ids, 0 beyond the answer's end
        ("rank", "<u2"),  # from 1; 0: not among the first `SCORED_ITEMS`
        ("seen", "<u2"),  # `SHOWN`, `SHADOW`, or 0 in cases of the version before
    ]
)
SHOWN, SHADOW = 1, 2
"""Whether somebody was shown the answer of a case."""

RING = WINDOWS[-1]


class Answer:
    """The scored part of an answer: its first items, their scores, and sampled measures.

    Items are numbers from 1, as `id_hash` has them.
    """

    __slots__ = ("answered_ms", "diversity", "items", "popularity", "scores", "shadow")

    def __init__(
        self,
        items: Sequence[int],
        scores: Sequence[float],
        answered_ms: int,
        diversity: float = math.nan,
        popularity: float = math.nan,
        shadow: bool = False,
    ) -> None:
        self.items = list(items[:SCORED_ITEMS])
        self.scores = np.array(scores[:SCORED_ITEMS], np.float64)
        self.answered_ms = answered_ms
        self.diversity = diversity
        self.popularity = popularity
        self.shadow = shadow


class RollingScore:
    """Scores one ranking, case by case; a case is an answer and the item that came next.

    Parameters
    ----------
    model
        Its name.
    """

    def __init__(self, model: str) -> None:
        self.counts = pb.ScoreCounts(score=pb.Score(model=model))
        self._ring = np.zeros(RING, CASE)
        self._shown: dict[int, Counter[int]] = {size: Counter() for size in WINDOWS}
        self._adwin = drift.ADWIN()
        self._calibration = _calibration(1.0, 0.0)
        self._changed: set[int] = set()

    @property
    def cases(self) -> int:
        """Cases so far."""
        return self.counts.score.cases

    def count_impression(self, known_items: int) -> None:
        """Count an answer that was shown."""
        c = self.counts
        c.score.impressions += 1
        c.known_items = known_items
        c.recent_impressions += 1 - FADING * c.recent_impressions
        c.recent_clicks -= FADING * c.recent_clicks

    def count_click(self) -> None:
        """Count a click that carries the id of an answer."""
        self.counts.score.attributed_clicks += 1
        self.counts.recent_clicks += 1

    def add_case(self, answer: Answer, item: int, now_ms: int) -> int:
        """Add a case, an answer and the item that came next; return its rank, 0 if absent."""
        items = answer.items
        rank = items.index(item) + 1 if item in items else 0
        place = self.cases % RING
        case = self._ring[place]
        self._count_shown(items)
        case["items"] = 0
        case["items"][: len(items)] = items
        case["rank"], case["answered_ms"] = rank, answer.answered_ms
        case["seen"] = SHADOW if answer.shadow else SHOWN
        case["diversity"], case["popularity"] = answer.diversity, answer.popularity
        self._changed.add(place // BLOCK)
        self._calibrate(answer, rank)
        self.counts.score.cases += 1
        self.counts.score.shadow_cases += answer.shadow
        self._adwin.update(rank > 0)
        if self._adwin.drift_detected:
            self._note_drift(now_ms)
        return rank

    def _count_shown(self, items: Sequence[int]) -> None:
        """Update the windows' item counts for a new case, before it is written to the ring."""
        for size, shown in self._shown.items():
            shown.update(items)
            if self.cases >= size:
                leaving = self._ring[(self.cases - size) % RING]["items"]
                for number in leaving[leaving > 0].tolist():
                    shown[number] -= 1
                    if not shown[number]:
                        del shown[number]

    def _calibrate(self, answer: Answer, rank: int) -> None:
        """Learn whether two of the answer's items came next.

        Which two depends on the number of the case, never on its outcome: otherwise the learned
        rates would be biased.
        """
        if not len(answer.scores):
            return
        odds = metrics.log_odds(answer.scores)
        check = self.counts.score.calibration
        for i in {self.cases % len(odds), (7 * self.cases + 3) % len(odds)}:
            x = {"log_odds": float(odds[i])}
            came = rank == i + 1
            predicted = self._calibration.predict_proba_one(x)[True]
            check.predicted += FADING * (predicted - check.predicted)
            check.observed += FADING * (came - check.observed)
            self._calibration.learn_one(x, came)
        check.slope = self._calibration.weights["log_odds"]
        check.intercept = self._calibration.intercept

    def _note_drift(self, now_ms: int) -> None:
        """Record a drift of the hit rate; it began with the oldest case in ADWIN's window."""
        since = min(int(self._adwin.width), self.cases, RING)
        cases = self._latest(RING)
        before, after = cases[: len(cases) - since], cases[len(cases) - since :]
        drifts = self.counts.score.drifts
        drifts.add(
            began_ms=int(after["answered_ms"][0]) if len(after) else now_ms,
            noticed_ms=now_ms,
            hit_rate_before=metrics.hit_rate(before["rank"], SCORED_ITEMS),
            hit_rate_after=metrics.hit_rate(after["rank"], SCORED_ITEMS),
        )
        del drifts[:-MAX_SCORE_DRIFTS]

    def _latest(self, size: int) -> NDArray[np.void]:
        """Return the last cases, oldest first."""
        n = min(self.cases, size, RING)
        latest: NDArray[np.void] = self._ring[np.arange(self.cases - n, self.cases) % RING]
        return latest

    def current(self, now_ms: int) -> pb.Score:
        """Return the score as it is published."""
        c = self.counts
        score = pb.Score()
        score.CopyFrom(c.score)
        score.timestamp_ms = now_ms
        if c.recent_impressions:
            score.click_through_rate = c.recent_clicks / c.recent_impressions
        for size in WINDOWS:
            cases = self._latest(size)
            if len(cases):
                score.windows.append(self._window(size, cases))
        return score

    def _window(self, size: int, cases: NDArray[np.void]) -> pb.ScoreWindow:
        ranks = cases["rank"].astype(np.int64)
        window = pb.ScoreWindow(
            size=size,
            cases=len(cases),
            since_ms=int(cases["answered_ms"].min()),
            coverage=len(self._shown[size]) / max(self.counts.known_items, 1),
        )
        for name in ("diversity", "popularity"):
            sampled = cases[name][~np.isnan(cases[name])]
            setattr(window, name, float(sampled.mean()) if len(sampled) else 0.0)
        known = cases["seen"][cases["seen"] > 0]
        if len(known):
            window.shown = float((known == SHOWN).mean())
        for k in CUTOFFS:
            window.at.add(
                k=k,
                hit_rate=metrics.hit_rate(ranks, k),
                mrr=metrics.mrr(ranks, k),
                ndcg=metrics.ndcg(ranks, k),
            )
        return window

    # ---- state

    def dump(self) -> bytes:
        """Return the counts; `changes` returns the cases."""
        return self.counts.SerializeToString()

    def changes(self) -> dict[int, bytes]:
        """Return the blocks of cases that have changed since the last call."""
        changed, self._changed = self._changed, set()
        return {b: self._ring[b * BLOCK : (b + 1) * BLOCK].tobytes() for b in changed}

    @classmethod
    def load(cls, dumped: bytes, blocks: Iterable[tuple[int, bytes]]) -> RollingScore:
        """Return a score from what `dump` and `changes` returned."""
        rolling = cls("")
        rolling.counts.ParseFromString(dumped)
        for block, raw in blocks:
            rolling._ring[block * BLOCK : (block + 1) * BLOCK] = np.frombuffer(raw, CASE)
        for size, shown in rolling._shown.items():
            items = rolling._latest(size)["items"]
            shown.update(items[items > 0].tolist())
        for rank in rolling._latest(RING)["rank"].tolist():
            rolling._adwin.update(rank > 0)
        check = rolling.counts.score.calibration
        if not all(map(math.isfinite, (check.slope, check.intercept, check.predicted))):
            # A version that took scores which are no numbers has learned from one.
            check.CopyFrom(pb.Calibration(slope=1.0))
        if rolling.cases:
            rolling._calibration = _calibration(check.slope, check.intercept)
        return rolling


def _calibration(slope: float, intercept: float) -> linear_model.LogisticRegression:
    """Platt scaling (Platt, 1999), learned online."""
    return linear_model.LogisticRegression(
        optimizer=optim.SGD(LEARNING_RATE),
        intercept_lr=LEARNING_RATE,
        intercept_init=intercept,
        initializer=optim.initializers.Constant(slope),
    )
