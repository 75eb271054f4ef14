"""All estimates of a new policy from one log: with intervals, or with why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from evaluation.errors import NoDataError
from evaluation.off_policy.click_model import fit
from evaluation.off_policy.estimators import ESTIMATORS, Columns, Estimator, logged
from evaluation.off_policy.intervals import bernstein, draws, grouped, studentised, value_of
from evaluation.off_policy.pages import Floats, Pages
from evaluation.off_policy.policies import TargetPolicy
from evaluation.off_policy.walk import Walked, walk
from evaluation.progress import Progress, silent

Interval = tuple[float, float]

LEAST_EFFECTIVE = 200.0
"""Effective pages below which nothing is estimated."""

LEAST_CLICKS = 20.0
"""Effective clicks below which nothing is estimated."""

FAR = 5.0
"""So many standard errors from 1, the mean weight says that the log does not fit the policy."""

ROUNDING = 1e-3
"""So far may it be in any case: propensities are logged with 32 bits."""

BETTER, WORSE, UNDECIDED, MODEL = "better", "worse", "undecided", "model alone"


@dataclass(frozen=True)
class Estimate:
    """What an estimator says of the new policy; rates are clicks a page.

    Parameters
    ----------
    name
        The estimator's.
    value
        The rate.
    interval
        Where it is with 95 % certainty, by the studentised bootstrap.
    bernstein
        The same by the empirical Bernstein bound, where that applies; None elsewhere.
    gain
        The interval of the difference to the log's own rate, by the studentised bootstrap.
    effective
        Pages of the new policy's own that would tell as much; None: it weighs no clicks.
    clicks
        The same of clicks.
    refused
        Why none of the above is to be used; empty: it may be.
    """

    name: str
    value: float
    interval: Interval
    bernstein: Interval | None
    gain: Interval
    effective: float | None
    clicks: float | None
    refused: str = ""

    @property
    def verdict(self) -> str:
        """Whether the new policy is better than the log's, as far as this one can tell."""
        if self.refused:
            return "refused"
        if self.effective is None:
            return MODEL
        if self.gain[0] > 0:
            return BETTER
        return WORSE if self.gain[1] < 0 else UNDECIDED


@dataclass(frozen=True)
class Judged:
    """A new policy, judged from a log.

    Parameters
    ----------
    pages, visitors, clicks
        What the log has.
    own, own_interval
        Clicks a page of the policy that wrote it.
    mean_weight
        Of whole pages; 1 but for chance, if the log has what the new policy shows.
    largest_weight
        Of a whole page.
    limited
        Share of the new policy's pages, by weight, that a limit on weights leaves out.
    estimates
        One from each estimator.
    """

    pages: int
    visitors: int
    clicks: int
    own: float
    own_interval: Interval
    mean_weight: float
    largest_weight: float
    limited: float
    estimates: list[Estimate] = field(default_factory=list)


def judge(
    pages: Pages,
    policy: TargetPolicy,
    *,
    most: float = np.inf,
    least_effective: float = LEAST_EFFECTIVE,
    least_clicks: float = LEAST_CLICKS,
    seed: int = 0,
    progress: Progress = silent,
) -> Judged:
    """Return all estimates of a policy.

    Parameters
    ----------
    pages
        The log.
    policy
        The new policy.
    most
        The greatest weight: larger ones count as this.
    least_effective, least_clicks
        Effective pages and clicks below which an estimate is refused.
    seed
        Of the bootstrap, and of the pages that the direct method plays.
    progress
        Told how far it is.

    Raises
    ------
    NoDataError
        If the log has no pages.
    """
    if not len(pages):
        raise NoDataError("the log has no page that can be judged")
    walked = walk(pages, policy, fit(pages), seed, progress)
    return judge_walked(
        walked,
        most=most,
        least_effective=least_effective,
        least_clicks=least_clicks,
        seed=seed,
        progress=progress,
    )


def judge_walked(
    walked: Walked,
    *,
    most: float = np.inf,
    least_effective: float = LEAST_EFFECTIVE,
    least_clicks: float = LEAST_CLICKS,
    seed: int = 0,
    progress: Progress = silent,
) -> Judged:
    """Return all estimates from pages that were seen with the policy; see `judge`."""
    own = logged(walked)
    above, below = grouped(own, walked.visitor)
    drawn = draws(len(above), seed)
    weight, share = walked.page_weight, walked.share
    wrong = _unsupported(walked)
    estimates = []
    chosen = [e for e in ESTIMATORS if walked.weight.shape[1] > 1 or not e.of_pages]
    for done, estimator in enumerate(chosen):
        progress("intervals", done, len(chosen), estimator.name)
        columns = estimator.columns(walked, most)
        effective, clicks = effective_pages(walked, columns), effective_clicks(walked, columns)
        refused = wrong if effective is not None else ""
        if effective is not None and effective < least_effective:
            refused = f"effective sample of {effective:,.0f} pages, below {least_effective:,.0f}"
        elif clicks is not None and clicks < least_clicks:
            refused = f"effective sample of {clicks:,.0f} clicks, below {least_clicks:,.0f}"
        estimates.append(
            _estimate(estimator, walked, columns, own, drawn, effective, clicks, refused)
        )
    progress("intervals", len(chosen), len(chosen), "")
    limited = 1 - float(np.average(np.minimum(weight, most), weights=share)) / max(
        float(np.average(weight, weights=share)), 1e-300
    )
    return Judged(
        len(walked),
        len(np.unique(walked.visitor)),
        int(walked.click.sum()),
        float(value_of(above.sum(axis=0), below.sum(axis=0))),
        _within(studentised(above, below, drawn)),
        float(np.average(weight, weights=share)),
        float(weight.max()),
        limited,
        estimates,
    )


def _estimate(
    estimator: Estimator,
    walked: Walked,
    columns: Columns,
    own: Columns,
    drawn: Floats,
    effective: float | None,
    clicks: float | None,
    refused: str,
) -> Estimate:
    above, below = grouped(columns, walked.visitor)
    # A difference is a sum of ratios, too.
    both = Columns(
        np.concatenate([columns.above, -own.above], axis=1),
        np.concatenate([columns.below, own.below], axis=1),
        None,
    )
    bound = bernstein(columns, walked.visitor)
    return Estimate(
        estimator.name,
        float(value_of(above.sum(axis=0), below.sum(axis=0))),
        _within(studentised(above, below, drawn)),
        None if bound is None else _within(bound),
        studentised(*grouped(both, walked.visitor), drawn),
        effective,
        clicks,
        refused,
    )


def effective_sample(weight: Floats) -> float:
    """Return how many equal weights tell as much as these: (Σ w)² / Σ w² (Kish 1965).

    >>> effective_sample(np.array([1.0, 1.0, 0.0, 0.0]))
    2.0
    """
    squares = float((weight**2).sum())
    return float(weight.sum()) ** 2 / squares if squares > 0 else 0.0


def effective_pages(walked: Walked, columns: Columns) -> float | None:
    """Return the effective sample of an estimator's weights.

    Where weights differ by place, each place has a sample; the one that counts for all is their
    harmonic mean, weighted by the clicks at the place (and one more, shared by all): clicks are
    rare, so that the variance of their sum is about the sum of their variances.
    """
    if columns.used is None:
        return None
    k = columns.used.shape[1]
    samples = np.array([effective_sample(walked.share * columns.used[:, p]) for p in range(k)])
    clicks = walked.click.sum(axis=0) + 1 / k
    if (samples <= 0).any():
        return 0.0
    return float(clicks.sum() / (clicks / samples).sum())


def effective_clicks(walked: Walked, columns: Columns) -> float | None:
    """Return the effective sample of the clicks: of the weights of pages that have one."""
    if columns.used is None:
        return None
    return effective_sample(walked.share * (columns.used * walked.click).sum(axis=1))


def _unsupported(walked: Walked) -> str:
    """Return why the weights cannot be right; empty if they can."""
    weight = walked.share * walked.page_weight
    mean, error = float(weight.mean()), float(weight.std()) / np.sqrt(len(weight))
    if abs(mean - 1) <= FAR * error + ROUNDING:
        return ""
    return (
        f"mean weight of {mean:.2f} instead of 1: the log lacks what the new policy shows, or "
        "its propensities are not those of its policy"
    )


def _within(interval: Interval) -> Interval:
    """Return an interval of a rate, which is not negative; an infinite bound stays."""
    return max(interval[0], 0.0), max(interval[1], 0.0)
