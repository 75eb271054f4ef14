"""Off-policy estimates: of a policy whose true click rate is known."""

from pathlib import Path

import numpy as np
import pytest

from evaluation.errors import UnreadableFileError
from evaluation.off_policy import Log, estimate, load_log, popular_now

RATES = np.array([0.1, 0.3, 0.5])
PROPENSITIES = np.array([0.6, 0.3, 0.1])


def logged(n: int) -> Log:
    random = np.random.default_rng(1)
    item = random.choice(3, n, p=PROPENSITIES)
    click = (random.random(n) < RATES[item]).astype(float)
    return Log(np.arange(n, dtype=float), item, PROPENSITIES[item], click, 3)


def test_the_click_rate_of_another_policy_is_found() -> None:
    log = logged(20_000)
    policy = np.tile([0.1, 0.1, 0.8], (20_000, 1))
    truth = float(RATES @ policy[0])
    naive = log.click.mean()
    assert abs(naive - truth) > 0.2
    estimates = estimate(log, policy)
    for name in ("IPW", "SNIPW", "DR"):
        value, low, high = estimates[name]
        assert value == pytest.approx(truth, abs=0.04), name
        assert low < value < high
    assert naive < estimates["DM"][0] < truth  # drawn towards the mean


def test_a_policy_that_is_the_logs_own_has_its_click_rate() -> None:
    log = logged(500)
    own = np.tile(PROPENSITIES, (500, 1))
    value, _, _ = estimate(log, own)["IPW"]
    assert value == pytest.approx(log.click.mean())


def test_the_popular_page_knows_no_click_that_comes_later() -> None:
    n = 6
    learned = Log(np.arange(n) + 0.5, np.array([3, 3, 3, 4, 4, 4]), np.ones(n), np.ones(n), 5)
    asked = Log(np.array([0.0, 3.2, 9.0]), np.zeros(3, int), np.ones(3), np.zeros(3), 5)
    policy = popular_now(learned, asked)
    assert policy.sum(axis=1) == pytest.approx(1)
    assert policy[1, 3] > 0
    assert policy[2, 3] > 0
    assert policy[2, 4] > 0
    before = popular_now(Log(learned.time_s + 100, *vars_of(learned)), asked)
    assert (before == before[0]).all()


def vars_of(log: Log) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    return log.item, log.propensity, log.click, log.items


def test_a_broken_log_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text("timestamp,item_id,propensity_score,click\n2019-11-24 00:01:03+00:00,1,x,0\n")
    with pytest.raises(UnreadableFileError, match=r"log\.csv:2"):
        load_log(file)
