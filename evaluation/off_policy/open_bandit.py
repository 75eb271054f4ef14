"""The section of the results page on the Open Bandit samples (Saito et al., NeurIPS 2021 datasets).

Each of its two policies is judged from the log of the other one, whose own log has its click rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from evaluation.off_policy.bandit_logs import load_log
from evaluation.off_policy.judging import Judged, judge
from evaluation.off_policy.logged_policy import LoggedPolicy
from evaluation.off_policy.pages import Block, Bools, Floats, Pages
from evaluation.off_policy.policies import Chooser, TargetPolicy, Uniform
from evaluation.progress import Progress, silent
from evaluation.rankings import make_engine
from online_models.engine import Engine

CAMPAIGNS = ("men", "women")
PLACES = 3

HEAD = """
## Off-policy

open_bandit, 10,000 rows per log: the click rate in percent of one policy, estimated from the log of
another ([off-policy estimates](off_policy.md); studentised bootstrap intervals of 95 %). *uniform*
is estimated from the log of Bernoulli TS, *Bernoulli TS* from the uniform log, with the
probabilities that its own log has nearest in time; the own logs have what they should be. *popular
now*, estimated from the uniform log, is the page of three items that `Recommend` gives a new
visitor, learned from the clicks of the Bernoulli TS log up to the time of each row. *effective* are
pages and clicks of the policy's own that would tell as much: with fewer than 200 pages or 20
clicks, in brackets, `nextclick off-policy` refuses the estimate.

| campaign | policy | own log | IPS | SNIPS | DM | DR | switch-DR | effective |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class PopularNow:
    """Shows any of the page for a new visitor, in any place.

    Parameters
    ----------
    shares
        Probability of each item of the log, (pages, items).
    time_s
        When each of these pages was shown, (pages,), rising.
    """

    shares: Floats
    time_s: Floats
    kind: ClassVar[str] = "popular now"

    def chooser(self, block: Block) -> Chooser:
        """See `TargetPolicy.chooser`."""
        rows = np.searchsorted(self.time_s, block.pages.time_s)
        shares = self.shares[rows[:, None], block.item]

        def choose(left: Bools, place: int) -> Floats:
            some = np.where(left, shares, 0.0)
            chosen: Floats = some / np.maximum(some.sum(axis=1, keepdims=True), 1e-300)
            return chosen

        return choose


def popular_now(learned: Pages, asked: Pages) -> PopularNow:
    """Return the policy of the page for a new visitor, at each time of ``asked``.

    The page has `PLACES` items in random order, learned from the clicks of ``learned`` up to then.
    """
    engine = make_engine("blend", 0)
    for name in asked.names:
        engine.put_item(name)
    numbers = {name: number for number, name in enumerate(asked.names)}
    times = np.sort(asked.time_s)
    shares = np.zeros((len(times), len(asked.names)))
    clicks = np.flatnonzero(learned.click[:, 0])
    clicks = clicks[np.argsort(learned.time_s[clicks], kind="stable")]
    done, share = 0, _shares(engine, numbers)
    for i, now in enumerate(times):
        before = done
        while done < len(clicks) and learned.time_s[clicks[done]] < now:
            clicked = learned.names[learned.shown_item[clicks[done], 0]]
            engine.learn(engine.open_session(), clicked)
            done += 1
        if done > before:  # the models know no other clock than clicks
            share = _shares(engine, numbers)
        shares[i] = share
    return PopularNow(shares, times)


def _shares(engine: Engine, numbers: Mapping[str, int]) -> Floats:
    """Return the probability of each item on the page for a new visitor, (items,)."""
    shares = np.zeros(len(numbers))
    page = [engine.item_id(row) for row in engine.recommend([], PLACES).rows]
    shares[[numbers[name] for name in page if name in numbers]] = 1 / PLACES
    return shares


def off_policy(folder: Path, progress: Progress = silent) -> str:
    """Return the section of the results page.

    Parameters
    ----------
    folder
        Of the Open Bandit samples: ``random_men.csv.gz``, ``bts_men.csv.gz`` and so on.
    progress
        Told how far it is.
    """
    text = HEAD
    for done, campaign in enumerate(CAMPAIGNS):
        progress("open_bandit: off-policy estimates", done, len(CAMPAIGNS), campaign)
        files = [folder / f"{name}_{campaign}.csv.gz" for name in ("random", "bts")]
        uniform, bts = map(load_log, files)
        text += _row(campaign, "uniform", uniform, judge(bts, Uniform()))
        text += _row(campaign, "Bernoulli TS", bts, judge(uniform, LoggedPolicy(files[1])))
        popular: TargetPolicy = popular_now(bts, uniform)
        text += _row(campaign, "popular now", None, judge(uniform, popular))
    progress("open_bandit: off-policy estimates", len(CAMPAIGNS), len(CAMPAIGNS), "")
    return text


def _row(campaign: str, policy: str, own: Pages | None, judged: Judged) -> str:
    cells = []
    for estimate in judged.estimates:
        low, high = (100 * bound for bound in estimate.interval)
        cell = f"{100 * estimate.value:.2f} ({low:.2f} to {high:.2f})"
        cells.append(f"[{cell}]" if estimate.refused else cell)
    ips = judged.estimates[0]
    rate = "-" if own is None else f"{100 * float(own.click.mean()):.2f}"
    effective = f"{ips.effective:,.0f}, {ips.clicks:,.0f}"
    return f"| {campaign} | {policy} | {rate} | {' | '.join(cells)} | {effective} |\n"
