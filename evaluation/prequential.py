"""Evaluation in process: the file's clicks through the same models as in serving.

static: the models learn the training file and then nothing more; prequential: each test
click is scored, then learned. A case is a prefix of a session and its next click. A case
is scored before its click is learned, and its session is never its own neighbour.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from evaluation.datasets import Session, clicks_in_order
from online_models import metrics
from online_models.engine import Engine, Ranked

Tick = Callable[[int, str], None]
"""Called now and then with the number of clicks done since, and a note."""

Ask = Callable[[list[int], int, int, tuple[int, int]], Ranked]
"""Answers (rows of the session, length, the session's number, when its last two clicks were)."""

TICK = 2_000
POOL_DEPTH = 100


@dataclass
class Cases:
    """The scored cases, in order."""

    session_ids: list[str] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    repeated: list[bool] = field(default_factory=list)
    in_pool: list[bool] = field(default_factory=list)
    cold: list[bool] = field(default_factory=list)
    recommend_us: list[float] = field(default_factory=list)
    shown: set[int] = field(default_factory=set)


def learn_all(engine: Engine, sessions: Sequence[Session], tick: Tick) -> list[float]:
    """Learn a file click by click; returns the microseconds of each."""
    numbers: dict[int, int] = {}
    times: list[float] = []
    for done, (s, p) in enumerate(clicks_in_order(sessions)):
        if p == 0:
            numbers[s] = engine.open_session()
        t = time.perf_counter_ns()
        engine.learn(numbers[s], sessions[s].items[p], at_s=second(sessions[s], p))
        times.append((time.perf_counter_ns() - t) / 1000)
        if done % TICK == TICK - 1:
            tick(TICK, "")
    return times


def score_all(
    engine: Engine,
    sessions: Sequence[Session],
    *,
    learn: bool,
    min_prefix: int,
    k: int,
    tick: Tick,
    ask: Ask | None = None,
) -> tuple[Cases, list[float]]:
    """Score every case of a file; with ``learn`` each click is learned after it was scored.

    ``ask`` answers instead of the engine, for baselines. Returns the cases and the
    microseconds of each learned click.
    """
    cases, times = Cases(), []
    numbers: dict[int, int] = {}
    for done, (s, p) in enumerate(clicks_in_order(sessions)):
        session = sessions[s]
        if p == 0:
            numbers[s] = engine.open_session() if learn else -1
        if p >= min_prefix:
            _score(engine, ask or ranked_by(engine), session, p, numbers[s], k, cases)
        if learn:
            t = time.perf_counter_ns()
            engine.learn(numbers[s], session.items[p], at_s=second(session, p))
            times.append((time.perf_counter_ns() - t) / 1000)
        if done % TICK == TICK - 1:
            tick(TICK, f"hit rate {metrics.hit_rate(cases.ranks, k):.3f}")
    return cases, times


def ranked_by(engine: Engine) -> Ask:
    """Return how the models themselves answer."""
    return lambda rows, k, number, times_s: engine.recommend(rows, k, number, times_s=times_s)


def second(session: Session, p: int) -> int:
    """When a session's click was: seconds since 1970, 0 without a clock."""
    return session.times_ms[p] // 1_000 if session.times_ms else 0


def _score(
    engine: Engine, ask: Ask, session: Session, p: int, number: int, k: int, cases: Cases
) -> None:
    target = session.items[p]
    rows = [engine.row(item) for item in session.items[max(0, p - 50) : p]]
    t = time.perf_counter_ns()
    times_s = (second(session, p - 2) if p > 1 else 0, second(session, p - 1))
    answer = ask(rows, k, number, times_s)
    cases.recommend_us.append((time.perf_counter_ns() - t) / 1000)
    row = engine.row(target)
    listed = answer.rows.tolist()
    rank = listed.index(row) + 1 if row and row in listed else 0
    in_pool = rank > 0
    if row and not rank:
        in_pool = row in ask(rows, max(k, POOL_DEPTH), number, times_s).rows
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
