"""Evaluation with users: what was before a session, never after, and the same cases twice."""

import numpy as np
import pytest

from evaluation.datasets import Session
from evaluation.known_users import GROUPS, bootstrap, compared, known_users
from evaluation.pasts import Pasts, Profile
from evaluation.prequential import Cases, learn_all, score_all
from nextclick.limits import PAST_ITEMS
from online_models.engine import Engine
from online_models.memory.layout import Limits

SMALL = Limits(max_items=256, max_sessions=64, pairs=64)


def session(name, user, *steps):
    """A session of (item, second) steps."""
    items, times_s = zip(*steps, strict=True)
    return Session(name, items, tuple(1_000 * t for t in times_s), user)


SESSIONS = [
    session("1", "u", ("a", 10), ("b", 20), ("a", 30)),
    session("2", "v", ("c", 15), ("d", 100)),
    session("3", "u", ("b", 40), ("e", 60)),
    session("4", "u", ("a", 50), ("f", 70)),  # begins before the one above is over
    session("5", "u", ("g", 80)),
    session("6", "v", ("c", 100)),  # begins as the one above ends
    session("7", "", ("a", 200)),
]


@pytest.fixture
def engine():
    engine = Engine(SMALL)
    learn_all(engine, SESSIONS)
    return engine


def told(engine, name):
    past = Pasts(SESSIONS).of(next(s for s in SESSIONS if s.session_id == name), engine)
    if past is None:
        return None
    return [engine.item_id(row) for row in past.rows], past.times_s.tolist(), past.repeats


def test_only_sessions_that_are_over_are_past(engine):
    """A running session, or one that ends later, is the future of this one."""
    assert told(engine, "1") is None
    assert told(engine, "2") is None
    assert told(engine, "3") == (["b", "a"], [20, 30], 0)
    assert told(engine, "4") == (["b", "a"], [20, 30], 0)
    assert told(engine, "5") == (["b", "a", "e", "f"], [40, 50, 60, 70], 2 / 7)
    assert told(engine, "6") is None
    assert told(engine, "7") is None


def test_a_profile_keeps_the_last_items():
    """Production keeps no more: an evaluation that does would promise too much."""
    profile = Profile()
    profile.add(session("1", "u", *((f"i{t}", t) for t in range(1, 41))))
    profile.add(session("2", "u", *((f"i{t % 70}", t) for t in range(101, 141))))
    assert len(profile.last_ms) == PAST_ITEMS
    assert list(profile.last_ms.values()) == sorted(profile.last_ms.values())
    assert profile.steps == 80
    first, second = set(range(1, 41)), [t % 70 for t in range(101, 141)]
    assert profile.repeated_steps == sum(item in first for item in second) > 0


def test_first_pages_are_cases_and_users_are_known_by_their_past(engine):
    """Otherwise the table would compare pages of other visitors."""
    cases, _ = score_all(engine, SESSIONS, learn=True, min_prefix=0, k=5, pasts=Pasts(SESSIONS))
    every = list(zip(cases.session_ids, cases.positions, cases.of_known_users, strict=True))
    assert len(every) == sum(len(s.items) for s in SESSIONS)
    assert {(name, position) for name, position, known in every if known} == {
        *(("3", p) for p in (1, 2)),
        *(("4", p) for p in (1, 2)),
        ("5", 1),
    }


def test_figures_are_of_known_users_by_clicks():
    """A case in the wrong row would hide that the past hurts."""
    names = ["s", "s", "s", "t", "t", "x"]
    without = Cases(names, [1, 2, 6, 1, 2, 1], [0, 1, 2, 0, 0, 1])
    those = Cases(names, [1, 2, 6, 1, 2, 1], [1, 2, 2, 0, 4, 0])
    those.of_known_users = [True] * 5 + [False]
    rows = {row.clicks: row for row in compared(without, those, {"s": "u", "t": "v", "x": "w"})}
    assert list(rows) == ["first page", "1 click", "1 to 3 clicks", "4 clicks and more"]
    assert set(rows) <= {name for name, *_ in GROUPS}
    first, one, more = rows["first page"], rows["1 click"], rows["4 clicks and more"]
    assert (first.cases, first.hit_rate, first.mrr) == (2, (0, 0.5), (0, 0.5))
    assert (one.cases, one.hit_rate, one.mrr) == (2, (0.5, 1), (0.5, 0.375))
    assert more.hit_rate_95 == more.mrr_95 == (0, 0)
    assert one.hit_rate_95 == (0, 1)


def test_the_bootstrap_draws_users():
    """Cases of one session are alike: drawing them one by one makes intervals too narrow."""
    rng = np.random.default_rng(1)
    users = np.repeat(np.arange(50).astype(str), 20)
    differences = np.repeat(rng.normal(size=50), 20)
    low, high = bootstrap(differences, users)
    assert low < differences.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * differences.std() / np.sqrt(50), rel=0.15)


def test_users_who_repeat_are_recognised_by_their_past():
    """End to end: sessions begin with what their user had, and the first pages show it."""
    rng = np.random.default_rng(0)
    sessions, favourite = [], {f"u{u}": f"i{u}" for u in range(60)}
    for n in range(2_000):
        user = f"u{rng.integers(60)}"
        at = 1_000_000 + 10_000 * n
        steps = [favourite[user], f"i{rng.integers(60, 90)}", f"i{rng.integers(60, 90)}"]
        times = [at, at + 10, at + 20]
        sessions.append(session(str(n), user, *zip(steps, times, strict=True)))
    rows = {row.clicks: row for row in known_users(sessions[:1_800], sessions[1_800:])}
    assert rows["first page"].cases > 190
    without, those = rows["first page"].hit_rate
    assert without < 0.5 < those
    assert rows["first page"].hit_rate_95[0] > 0
