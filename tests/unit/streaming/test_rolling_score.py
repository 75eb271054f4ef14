"""The figures of a ranking over its last cases: windows, changes, calibration."""

import math
import random

import numpy as np
import pytest

from nextclick.limits import SCORED_ITEMS
from online_models import metrics
from streaming.tasks.rolling_score import BLOCK, CASE, RING, Answer, RollingScore

ITEMS = range(1, 41)


def test_windows_equal_a_count_by_hand():
    """Rolling figures are those of the last cases, at every cut-off, beyond the ring's end too."""
    rng = random.Random(3)
    rolling = RollingScore("ranker")
    cases = []
    for n in range(RING + 1_500):
        items = rng.sample(ITEMS, SCORED_ITEMS)
        target = rng.choice(ITEMS)
        rolling.count_impression(len(ITEMS))
        shadow = rng.random() < n / RING / 2
        answered = Answer(items, [1.0] * SCORED_ITEMS, n, shadow=shadow)
        rank = rolling.add_case(answered, target, n)
        assert rank == (items.index(target) + 1 if target in items else 0)
        cases.append((items, rank, shadow))
    score = rolling.current(0)
    assert [w.size for w in score.windows] == [1_000, 10_000]
    for window in score.windows:
        last = cases[-window.size :]
        assert window.cases == len(last)
        assert window.since_ms == len(cases) - len(last)
        counted = np.array([rank for _, rank, _ in last])
        for at in window.at:
            assert at.hit_rate == pytest.approx(metrics.hit_rate(counted, at.k))
            assert at.mrr == pytest.approx(metrics.mrr(counted, at.k))
            assert at.ndcg == pytest.approx(metrics.ndcg(counted, at.k))
        listed = {item for items, _, _ in last for item in items}
        assert window.coverage == pytest.approx(len(listed) / len(ITEMS))
        shown = sum(not shadow for _, _, shadow in last)
        assert window.shown == pytest.approx(shown / len(last))


def test_a_ranking_that_takes_over_is_shown_in_its_windows():
    """A share of all cases ever said for months that nobody was shown the ranking that answers."""
    rolling = RollingScore("ranker")
    for n in range(12_000):
        rolling.add_case(Answer([1], [1.0], n, shadow=n < 11_000), 1, n)
    assert [window.shown for window in rolling.current(0).windows] == pytest.approx([1.0, 0.1])


def test_cases_of_the_version_before_do_not_tell_whether_they_were_shown():
    """It stored the rank in the four bytes that now hold both: its state is read as it is."""
    before = RollingScore("ranker")
    for n in range(BLOCK):
        before.add_case(Answer([1, 2], [2.0, 1.0], n), 2, n)
    stored = {block: np.frombuffer(raw, CASE).copy() for block, raw in before.changes().items()}
    for cases in stored.values():
        cases["seen"] = 0
    blocks = [(block, cases.tobytes()) for block, cases in stored.items()]
    after = RollingScore.load(before.dump(), blocks)
    [window, _] = after.current(0).windows
    assert not window.HasField("shown")
    assert (window.cases, window.at[0].mrr) == (BLOCK, 0.5)
    after.add_case(Answer([1], [1.0], 0, shadow=True), 1, 0)
    assert after.current(0).windows[0].shown == 0.0
    assert np.dtype([("rank", "<u2"), ("seen", "<u2")]).itemsize == np.dtype("<u4").itemsize


def test_a_change_of_the_hit_rate_is_noticed_with_its_beginning():
    """An alert without a time sends people to search through a day's releases."""
    rng = random.Random(5)
    rolling = RollingScore("ranker")
    for n in range(4_000):
        hit = rng.random() < (0.7 if n < 3_000 else 0.3)
        rolling.add_case(Answer([1], [1.0], n), 1 if hit else 2, n)
    (drift,) = rolling.counts.score.drifts
    assert 2_700 <= drift.began_ms <= 3_300
    assert 3_000 <= drift.noticed_ms < 3_600
    assert drift.hit_rate_before == pytest.approx(0.7, abs=0.05)
    assert drift.hit_rate_after < drift.hit_rate_before - 0.1


def test_no_change_gives_no_alert():
    """An alert that cries every day is switched off."""
    rng = random.Random(7)
    rolling = RollingScore("ranker")
    for n in range(8_000):
        rolling.add_case(Answer([1], [1.0], n), 1 if rng.random() < 0.5 else 2, n)
    assert not rolling.counts.score.drifts


def test_scores_become_probabilities():
    """What is predicted is what happens: on average, and for likely and unlikely items apart."""
    rng = np.random.default_rng(9)
    rolling = RollingScore("ranker")
    truth = lambda odds: 1 / (1 + np.exp(-(0.6 * odds - 0.5)))  # noqa: E731
    for n in range(9_000):
        values = np.sort(rng.normal(size=10) * 2)[::-1]
        p = truth(metrics.log_odds(values))
        hit = rng.random() < p.sum()
        chosen = rng.choice(10, p=p / p.sum())
        items = ITEMS[:10]
        rolling.add_case(Answer(items, values, n), items[chosen] if hit else 99, n)
    check = rolling.counts.score.calibration
    assert check.predicted == pytest.approx(check.observed, abs=0.02)
    for odds in (-3.0, 0.0):
        predicted = 1 / (1 + math.exp(-(check.slope * odds + check.intercept)))
        assert predicted == pytest.approx(float(truth(np.array(odds))), abs=0.08)


def test_a_calibration_that_is_no_number_begins_anew():
    """The states that the version before has spoilt are still there."""
    rolling = RollingScore("ranker")
    rolling.add_case(Answer([1, 2], [1.0, 0.0], 1), 1, 1)
    rolling.counts.score.calibration.slope = math.nan
    rolling.counts.score.calibration.predicted = math.nan
    loaded = RollingScore.load(rolling.dump(), rolling.changes().items())
    loaded.add_case(Answer([1, 2], [1.0, 0.0], 2), 1, 2)
    check = loaded.counts.score.calibration
    assert 0.9 < check.slope < 1.1
    assert 0 < check.predicted < 1
