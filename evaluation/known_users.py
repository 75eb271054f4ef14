"""What it is worth to know what a user did before: the same cases with and without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.datasets import Session, load_sessions, split_last
from evaluation.pasts import Pasts
from evaluation.prequential import Cases, learn_all, score_all
from evaluation.progress import Progress, silent
from evaluation.rankings import make_engine
from online_models import metrics

K, HELD_OUT, ROUNDS = 20, 0.2, 2_000
"""Length of the lists; last share of the sessions that is tested; draws of a bootstrap."""

DATA = (
    ("30Music, 10 % sample", Path("thirty_music/sessions_sample_10.csv.gz")),
    ("MovieLens 100K", Path("ml_100k/ml-100k.inter.gz")),
)
"""Public data with users: names, and files in the folder of the data."""

GROUPS = (
    ("first page", 0, 0),
    ("1 click", 1, 1),
    ("2 clicks", 2, 2),
    ("3 clicks", 3, 3),
    ("1 to 3 clicks", 1, 3),
    ("4 clicks and more", 4, 1 << 30),
)
"""Cases by the clicks that their session has: names, fewest, most."""

HEAD = """
## Users who come back

Sessions of users who have had an earlier one: the last fifth of the sessions by time, prequential,
seed 0. *without*: each session alone, and on the first page, before its first click, the popular
items. *with*: the same models know the last 50 items of the user's earlier sessions (`Past`), and
the ranker has learned what these are worth. HR@20 / MRR@20 in percent, and the difference in points
with 95 % intervals (paired bootstrap over users). MovieLens has no sessions: they end after 30
minutes without a rating. For a file of your own: `nextclick evaluate --train clicks.csv --users`.

| data | the session has | cases | without | with | HR@20, more | MRR@20, more |
| --- | --- | --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Row:
    """Cases whose sessions have a number of clicks; rates are fractions.

    ``hit_rate_95`` and ``mrr_95`` are the intervals of the differences, with less without.
    """

    clicks: str
    cases: int
    hit_rate: tuple[float, float]
    mrr: tuple[float, float]
    hit_rate_95: tuple[float, float]
    mrr_95: tuple[float, float]


def known_users(
    train: Sequence[Session],
    test: Sequence[Session],
    seed: int = 0,
    *,
    learn: bool = True,
    progress: Progress = silent,
) -> list[Row]:
    """Return the figures without and with what users did before, by clicks of the session.

    Parameters
    ----------
    train, test
        Sessions to learn from, and to predict; only those of users with an earlier session count.
    seed
        Of whatever is random.
    learn
        Whether each click is learned after it was scored.
    progress
        Told how far it is.
    """
    pasts = Pasts([*train, *test])
    runs = []
    for name, known in (("without", None), ("with", pasts)):
        engine = make_engine("ranker", seed)
        learn_all(engine, train, progress, f"{name} users, learns", known)
        task = f"{name} users, predicts"
        cases, _ = score_all(
            engine, test, learn=learn, min_prefix=0, k=K, pasts=known, progress=progress, task=task
        )
        runs.append(cases)
    users = {session.session_id: session.user_id for session in test}
    return compared(runs[0], runs[1], users)


def compared(without: Cases, those: Cases, users: dict[str, str]) -> list[Row]:
    """Return the figures of the cases of known users; ``users`` names them by session."""
    known = np.array(those.of_known_users, dtype=bool)
    clicks = np.array(those.positions)[known] - 1
    names = np.array([users[session_id] for session_id in those.session_ids])[known]
    ranks = [np.array(cases.ranks)[known] for cases in (without, those)]
    rows = []
    for name, fewest, most in GROUPS:
        here = (clicks >= fewest) & (clicks <= most)
        if not here.any():
            continue
        a, b = (r[here] for r in ranks)
        rows.append(
            Row(
                name,
                int(here.sum()),
                (metrics.hit_rate(a, K), metrics.hit_rate(b, K)),
                (metrics.mrr(a, K), metrics.mrr(b, K)),
                bootstrap((b > 0).astype(float) - (a > 0), names[here]),
                bootstrap(reciprocal(b) - reciprocal(a), names[here]),
            )
        )
    return rows


def reciprocal(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1 / rank, 0 for a miss."""
    found: NDArray[np.float64] = np.where(ranks > 0, 1 / np.maximum(ranks, 1), 0.0)
    return found


def bootstrap(
    differences: NDArray[np.float64], users: NDArray[np.str_], rounds: int = ROUNDS
) -> tuple[float, float]:
    """Return the 95 % interval of the mean difference: users are drawn, with all of their cases."""
    _, of = np.unique(users, return_inverse=True)
    sums, sizes = np.bincount(of, differences), np.bincount(of)
    rng = np.random.default_rng(0)
    means = []
    for _ in range(rounds):
        drawn = rng.integers(len(sums), size=len(sums))
        means.append(sums[drawn].sum() / sizes[drawn].sum())
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def section(data: Path, progress: Progress = silent) -> str:
    """Return the section of the results page, empty where the data are missing."""
    text = ""
    for name, file in DATA:
        if (data / file).exists():
            train, test = split_last(load_sessions(data / file), HELD_OUT)
            for row in known_users(train, test, progress=progress):
                text += f"| {name} | {row.clicks} | {row.cases:,} | {cells(row)} |\n"
    return HEAD + text if text else ""


def cells(row: Row) -> str:
    """Return a row's figures in percent and points, as the cells of a table."""
    pairs = [
        f"{100 * hit_rate:.2f} / {100 * mrr:.2f}"
        for hit_rate, mrr in zip(row.hit_rate, row.mrr, strict=True)
    ]
    for (without, those), (low, high) in (
        (row.hit_rate, row.hit_rate_95),
        (row.mrr, row.mrr_95),
    ):
        more = 100 * (those - without)
        pairs.append(f"{more:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})")
    return " | ".join(pairs)
