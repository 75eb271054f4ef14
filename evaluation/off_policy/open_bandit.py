"""Estimates of a policy's click rate from the log of another one, with logged propensities.

IPW (Horvitz & Thompson 1952), self-normalised IPW (Swaminathan & Joachims, NIPS 2015), the direct
method and doubly robust (Dudik, Langford & Li, ICML 2011) on the Open Bandit samples (Saito et al.,
NeurIPS 2021 datasets). The direct method's click rate of an item is that of the other half of the
log, shrunk towards the mean by `PRIOR` impressions.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.click_files.content import text_of
from evaluation.errors import UnreadableFileError
from evaluation.progress import Progress, silent
from evaluation.rankings import make_engine

CAMPAIGNS = ("men", "women")
PLACES = 3
PRIOR = 300.0
ROUNDS = 1_000

HEAD = """
## Off-policy

open_bandit, 10,000 rows per log: the click rate in percent of one policy, estimated from the log of
another (95 % bootstrap interval). *uniform*, estimated from the log of Bernoulli TS, can be
compared with the click rate in the uniform policy's own log. *popular now*, estimated from the
uniform log, is the page of three items that `Recommend` gives a new visitor, learned from the
clicks of the Bernoulli TS log up to the time of each row. With about 50 clicks in a log, only large
differences mean anything.

| campaign | policy | own log | IPW | SNIPW | DM | DR |
| --- | --- | --- | --- | --- | --- | --- |
"""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Log:
    """Impressions by time: when, which item (numbers from 0), its propensity, whether clicked."""

    time_s: Floats
    item: NDArray[np.int64]
    propensity: Floats
    click: Floats
    items: int


def load_log(path: Path) -> Log:
    """Return a log of the Open Bandit data.

    Raises
    ------
    UnreadableFileError
        With file and line for whatever cannot be read.
    """
    rows = []
    with text_of(path) as lines:
        reader = csv.DictReader(lines)
        for row in reader:
            try:
                when = datetime.fromisoformat(row["timestamp"]).timestamp()
                shown = int(row["item_id"]), float(row["propensity_score"]), float(row["click"])
            except (KeyError, ValueError) as e:
                raise UnreadableFileError(path, e, reader.line_num) from e
            rows.append((when, *shown))
    time_s, item, propensity, click = np.array(sorted(rows)).T
    number = item.astype(np.int64)
    return Log(time_s, number, propensity, click, int(number.max()) + 1)


def estimate(log: Log, policy: Floats) -> dict[str, tuple[float, float, float]]:
    """Return each estimator's (value, 2.5th, 97.5th percentile).

    Parameters
    ----------
    log
        What another policy has shown.
    policy
        Probability that the policy shows each item where the log showed one, (showings, items).
    """
    n = np.arange(len(log.item))
    weight = policy[n, log.item] / log.propensity
    rates = click_rates(log)
    direct = (policy * rates).sum(axis=1)
    residual = weight * (log.click - rates[n, log.item])
    columns = np.stack([weight * log.click, weight, direct, residual])
    draws = np.random.default_rng(0).multinomial(len(n), np.full(len(n), 1 / len(n)), ROUNDS)
    every, spread = _values(columns.mean(axis=1)), _values(columns @ draws.T / len(n))
    bounds = np.percentile(spread, [2.5, 97.5], axis=1)
    return {
        name: (float(every[i]), float(bounds[0, i]), float(bounds[1, i]))
        for i, name in enumerate(("IPW", "SNIPW", "DM", "DR"))
    }


def _values(means: Floats) -> Floats:
    """Return IPW, SNIPW, DM, DR of the means of clicks, weights, direct terms and residuals."""
    clicks, weights, direct, residual = means
    return np.stack([clicks, clicks / np.maximum(weights, 1e-12), direct, direct + residual])


def click_rates(log: Log) -> Floats:
    """Return each item's click rate in the other half of the log, (impressions, items)."""
    halves = np.arange(len(log.item)) % 2
    rates = np.empty((2, log.items))
    for half in (0, 1):
        other = halves != half
        shown = np.bincount(log.item[other], minlength=log.items)
        clicked = np.bincount(log.item[other], log.click[other], log.items)
        rates[half] = (clicked + PRIOR * log.click[other].mean()) / (shown + PRIOR)
    chosen: Floats = rates[halves]
    return chosen


def popular_now(learned: Log, asked: Log) -> Floats:
    """Return each item's probability in the page for a new visitor, at each row of ``asked``.

    The page has `PLACES` items in random order, learned from the clicks of ``learned`` up to then.
    """
    engine = make_engine("blend", 0)
    for item in range(asked.items):
        engine.put_item(str(item))
    policy = np.zeros((len(asked.item), asked.items))
    clicks = np.flatnonzero(learned.click)
    done = 0
    for i, now in enumerate(asked.time_s):
        while done < len(clicks) and learned.time_s[clicks[done]] < now:
            engine.learn(engine.open_session(), str(learned.item[clicks[done]]))
            done += 1
        page = [int(engine.item_id(row)) for row in engine.recommend([], PLACES).rows]
        policy[i, page] = 1 / PLACES
    return policy


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
        uniform, bts = (load_log(folder / f"{p}_{campaign}.csv.gz") for p in ("random", "bts"))
        even = np.full((len(bts.item), bts.items), 1 / bts.items)
        own = f"{100 * uniform.click.mean():.2f}"
        text += _row(campaign, "uniform", own, estimate(bts, even))
        popular = popular_now(bts, uniform)
        text += _row(campaign, "popular now", "-", estimate(uniform, popular))
    progress("open_bandit: off-policy estimates", len(CAMPAIGNS), len(CAMPAIGNS), "")
    return text


def _row(
    campaign: str, policy: str, own: str, values: dict[str, tuple[float, float, float]]
) -> str:
    cells = " | ".join(
        f"{100 * value:.2f} ({100 * low:.2f} to {100 * high:.2f})"
        for value, low, high in values.values()
    )
    return f"| {campaign} | {policy} | {own} | {cells} |\n"
