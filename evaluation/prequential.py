"""Evaluation in process: a file's clicks go through the same models as in serving.

Static: the models learn the training file and nothing after it. Prequential: each test click is
scored, then learned. A case is a prefix of a session and the click that follows it; it is scored
before that click is learned, and a session never counts as its own neighbour.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from evaluation.datasets import Session, clicks_in_order
from evaluation.pasts import Pasts
from evaluation.progress import Progress, silent
from nextclick.limits import SESSION_STEPS
from online_models import metrics
from online_models.engine import Engine, Past, Ranked

Ask = Callable[[list[int], int, int, tuple[int, int]], Ranked]
"""Answers (rows of the session, length of the list, number of the session, times of its last two
clicks in seconds)."""

REPORT_EVERY = 2_000
"""Clicks between two reports of progress."""

CANDIDATES = 100
"""A target within so many answers counts as one of the candidates (`candidate_recall`)."""


@dataclass
class Cases:
    """The scored cases, in the order of their clicks.

    Attributes
    ----------
    session_ids, positions
        The session of each case, and the position of its target in it, from 1.
    ranks
        Place of the target in the list, from 1; 0 where it is absent.
    repeated
        Whether the session has had the target before.
    in_pool
        Whether the target is among the first `CANDIDATES` answers.
    cold
        Whether the target has had no click before.
    recommend_us
        Microseconds of each answer.
    shown
        Rows of all items that were in any list.
    of_known_users
        Whether the user has done anything before the session, as far as `Pasts` were given.
    """

    session_ids: list[str] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    repeated: list[bool] = field(default_factory=list)
    in_pool: list[bool] = field(default_factory=list)
    cold: list[bool] = field(default_factory=list)
    recommend_us: list[float] = field(default_factory=list)
    shown: set[int] = field(default_factory=set)
    of_known_users: list[bool] = field(default_factory=list)


def learn_all(
    engine: Engine,
    sessions: Sequence[Session],
    progress: Progress = silent,
    task: str = "learning",
    pasts: Pasts | None = None,
) -> list[float]:
    """Learn sessions click by click; returns the microseconds of each click.

    ``pasts`` tells what their users did before each session, for the ranker to learn from.
    """
    order = clicks_in_order(sessions)
    numbers: dict[int, int] = {}
    times: list[float] = []
    for done, (s, p) in enumerate(order, 1):
        if p == 0:
            numbers[s] = engine.open_session()
        past = None if pasts is None else pasts.of(sessions[s], engine)
        times.append(_learn(engine, numbers[s], sessions[s], p, past))
        if done % REPORT_EVERY == 0:
            progress(task, done, len(order), "")
    progress(task, len(order), len(order), "")
    return times


def score_all(
    engine: Engine,
    sessions: Sequence[Session],
    *,
    learn: bool,
    min_prefix: int,
    k: int,
    ask: Ask | None = None,
    pasts: Pasts | None = None,
    progress: Progress = silent,
    task: str = "predicting",
) -> tuple[Cases, list[float]]:
    """Score every case of some sessions.

    Parameters
    ----------
    engine
        Models that have learned already.
    sessions
        Their clicks are predicted, in the order of their clock.
    learn
        Whether each click is learned after it was scored.
    min_prefix
        Clicks of a session before its first case.
    k
        Length of the lists.
    ask
        Answers instead of the engine, for baselines.
    pasts
        Tells what users did before each session; answers and learning are given it. With
        ``min_prefix`` 0, the first page of each session is a case as well.
    progress, task
        Told how far it is, under this name.

    Returns
    -------
    tuple[Cases, list[float]]
        The cases, and the microseconds of each learned click.
    """
    order = clicks_in_order(sessions)
    cases, times = Cases(), []
    numbers: dict[int, int] = {}
    for done, (s, p) in enumerate(order, 1):
        session = sessions[s]
        if p == 0:
            numbers[s] = engine.open_session() if learn else -1
        past = None if pasts is None else pasts.of(session, engine)
        if p >= min_prefix:
            _score(engine, ask or ranked_by(engine, past), session, p, numbers[s], k, cases)
            cases.of_known_users.append(past is not None)
        if learn:
            times.append(_learn(engine, numbers[s], session, p, past))
        if done % REPORT_EVERY == 0:
            progress(task, done, len(order), f"hit rate {metrics.hit_rate(cases.ranks, k):.3f}")
    note = f"hit rate {metrics.hit_rate(cases.ranks, k):.3f}"
    progress(task, len(order), len(order), note)
    return cases, times


def ranked_by(engine: Engine, past: Past | None = None) -> Ask:
    """Return how the models themselves answer."""
    if past is None:
        return lambda rows, k, number, times_s: engine.recommend(rows, k, number, times_s=times_s)
    return lambda rows, k, number, times_s: engine.recommend(
        rows, k, number, times_s=times_s, past=past
    )


def second(session: Session, p: int) -> int:
    """Return the time of a session's click: seconds since 1970, 0 without a clock."""
    return session.times_ms[p] // 1_000 if session.times_ms else 0


def _learn(engine: Engine, number: int, session: Session, p: int, past: Past | None) -> float:
    """Learn a click; returns the microseconds that it took."""
    t = time.perf_counter_ns()
    if past is None:
        engine.learn(number, session.items[p], at_s=second(session, p))
    else:
        engine.learn(number, session.items[p], at_s=second(session, p), past=past)
    return (time.perf_counter_ns() - t) / 1000


def _score(
    engine: Engine, ask: Ask, session: Session, p: int, number: int, k: int, cases: Cases
) -> None:
    target = session.items[p]
    rows = engine.rows_of(session.items[max(0, p - SESSION_STEPS) : p])
    t = time.perf_counter_ns()
    times_s = (second(session, p - 2) if p > 1 else 0, second(session, p - 1) if p > 0 else 0)
    answer = ask(rows, k, number, times_s)
    cases.recommend_us.append((time.perf_counter_ns() - t) / 1000)
    row = engine.row(target)
    listed = answer.rows.tolist()
    rank = listed.index(row) + 1 if row and row in listed else 0
    in_pool = rank > 0
    if row and not rank:
        in_pool = row in ask(rows, max(k, CANDIDATES), number, times_s).rows
    cases.session_ids.append(session.session_id)
    cases.positions.append(p + 1)
    cases.ranks.append(rank)
    cases.cold.append(row == 0 or not engine.has_clicks(row))
    cases.repeated.append(target in session.items[:p])
    cases.in_pool.append(bool(in_pool))
    cases.shown.update(listed)


def summary(
    cases: Cases, k: int, items: int, seconds: float, learn_us: Sequence[float]
) -> dict[str, object]:
    """Return the figures of an evaluation; rates are fractions, times microseconds."""
    ranks, repeated = np.array(cases.ranks), np.array(cases.repeated, dtype=bool)
    bounds = metrics.intervals(ranks, k)
    new = ranks[~repeated] if len(ranks) else ranks
    return {
        "cases": len(ranks),
        "hit_rate": metrics.hit_rate(ranks, k),
        "mrr": metrics.mrr(ranks, k),
        "hit_rate_95": bounds["hit_rate"],
        "mrr_95": bounds["mrr"],
        "hit_rate_new": metrics.hit_rate(new, k),
        "hit_rate_new_95": metrics.intervals(new, k)["hit_rate"],
        "cold_cases": int(np.sum(cases.cold)),
        "hit_rate_cold": metrics.hit_rate(ranks[np.array(cases.cold, dtype=bool)], k),
        "repeat_share": float(repeated.mean()) if len(ranks) else 0.0,
        "ndcg": metrics.ndcg(ranks, k),
        "ndcg_95": bounds["ndcg"],
        "coverage": len(cases.shown) / items if items else 0.0,
        "candidate_recall": float(np.mean(cases.in_pool)) if len(ranks) else 0.0,
        "seconds": seconds,
        "learn_us": metrics.spread(learn_us),
        "recommend_us": metrics.spread(cases.recommend_us),
    }
