"""The Open Bandit samples: two policies, each judged from the log of the other one."""

import gzip
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.off_policy import open_bandit
from evaluation.off_policy.bandit_logs import load_log
from evaluation.off_policy.judging import judge
from evaluation.off_policy.logged_policy import LoggedPolicy
from evaluation.off_policy.open_bandit import off_policy, popular_now
from evaluation.off_policy.policies import Uniform

DATA = Path(os.environ.get("PUBLIC_DATA", "nowhere")) / "open_bandit"
FULL_LOG = {
    ("men", "random"): 0.0051,
    ("women", "random"): 0.0048,
    ("men", "bts"): 0.0067,
    ("women", "bts"): 0.0064,
}
"""Click rates of the policies in their full logs, of which the samples are a part."""

HEAD = "timestamp,item_id,position,click,propensity_score\n"


def written(path, rows):
    """A log as a file."""
    lines = "".join(
        f"2019-11-24 00:00:{at:09.6f}+00:00,{item},{position},{click},{p}\n"
        for at, item, position, click, p in rows
    )
    path.write_bytes(gzip.compress((HEAD + lines).encode()))
    return path


def test_the_popular_page_knows_no_click_that_comes_later(tmp_path):
    """A page of the future would be judged by the clicks that made it."""
    learned = load_log(
        written(tmp_path / "a.gz", [(t + 0.5, i, 1, 1, 0.2) for t, i in enumerate([3, 3, 3, 4, 4])])
    )
    asked = load_log(
        written(tmp_path / "b.gz", [(t, i, 1, 0, 0.2) for t, i in enumerate([0, 1, 2, 3.2, 4])])
    )
    asked = replace(asked, names=["0", "1", "2", "3", "4"], time_s=asked.time_s * 1.0)
    policy = popular_now(learned, asked)
    assert policy.shares.sum(axis=1) == pytest.approx(1)
    assert policy.shares[4, 3] > 0
    later = popular_now(replace(learned, time_s=learned.time_s + 100), asked)
    assert (later.shares == later.shares[0]).all()


def test_the_section_shows_both_ways_and_puts_refusals_into_brackets(tmp_path, monkeypatch):
    """Whoever reads the table must see which of its figures the command would not give."""
    random = np.random.default_rng(1)
    for campaign in open_bandit.CAMPAIGNS:
        for name, p in (("random", [0.25] * 4), ("bts", [0.7, 0.1, 0.1, 0.1])):
            items = random.choice(4, 300, p=p)
            clicks = random.random(300) < (0.5 if campaign == "men" else 0.01)
            rows = [
                (t / 10, i, t % 3 + 1, int(clicks[t]), p[i]) for t, i in enumerate(items.tolist())
            ]
            written(tmp_path / f"{name}_{campaign}.csv.gz", rows)
    table = off_policy(tmp_path).splitlines()[-6:]
    assert [line.split(" | ")[:2] for line in table] == [
        [f"| {campaign}", policy]
        for campaign in ("men", "women")
        for policy in ("uniform", "Bernoulli TS", "popular now")
    ]
    assert "[" in table[3]
    assert "[" not in table[1]


@pytest.mark.skipif(not DATA.is_dir(), reason="PUBLIC_DATA names no folder of them")
@pytest.mark.parametrize("campaign", ["men", "women"])
def test_the_samples_estimates_agree_with_the_logs_of_the_policies(campaign):
    """As far as 46 to 69 clicks tell: the true rate is in the intervals, or there is a refusal."""
    files = {name: DATA / f"{name}_{campaign}.csv.gz" for name in ("random", "bts")}
    for name, other, policy in (
        ("bts", "random", Uniform()),
        ("random", "bts", LoggedPolicy(files["bts"])),
    ):
        judged = judge(load_log(files[name]), policy)
        by_name = {estimate.name: estimate for estimate in judged.estimates}
        for estimate in judged.estimates:
            # All of them are too few for more than the direct method.
            assert bool(estimate.refused) == (estimate.name != "DM"), estimate
        low, high = by_name["SNIPS"].interval
        assert low < FULL_LOG[campaign, other] < high
        low, high = by_name["DR"].interval
        assert low < FULL_LOG[campaign, other] < high
    own = judge(load_log(files["random"]), Uniform())
    assert not any(estimate.refused for estimate in own.estimates)
    women = judge(load_log(DATA / "bts_women.csv.gz"), Uniform()).estimates[0]
    assert women.effective < 3
    assert "effective sample of 2 pages, below 200" in women.refused
