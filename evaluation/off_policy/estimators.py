"""Estimators of clicks a page under a new policy, each as columns of which it is a sum of ratios.

Notation: page i of n, places k = 1..K; r_k: whether the item at k was clicked; w_{1:k}: product of
the ratios of the new policy's and the logged propensities of the items at 1..k, given those before
(`walk.Walked` has these as arrays). Weights may be limited to ``most``: each then counts as
min(w, most), which lowers the variance, and every estimate by what is left out.

With one place, RIPS is IPS, SNRIPS is SNIPS, and cascade-DR is DR.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evaluation.off_policy.pages import Floats
from evaluation.off_policy.walk import Walked

SWITCH_AT = 10.0
"""Weight above which switch-DR goes by the click model."""


class Columns(NamedTuple):
    """What an estimate is computed from: the sum over p of sum(above[:, p]) / sum(below[:, p]).

    Parameters
    ----------
    above, below
        (n, p).
    used
        The weights of clicks at each place, (n, k): how even they are says how much the log tells
        of the new policy. None: it does not weigh clicks.
    bounds
        The least and the greatest value of a row of ``above``, if a page has one click at most,
        where these are known and ``below`` is constant; otherwise None.
    """

    above: Floats
    below: Floats
    used: Floats | None
    bounds: tuple[float, float] | None = None


def logged(walked: Walked) -> Columns:
    """Return the columns of what the log's own policy has earned: the mean of Σ_k r_k."""
    return _mean(walked, walked.click.sum(axis=1), np.ones_like(walked.weight))


def ips(walked: Walked, most: float = np.inf) -> Columns:
    """Inverse propensity score.

        V = 1/n Σ_i w_{1:K} Σ_k r_k

    Horvitz & Thompson, JASA 1952; for policies Strehl et al., NIPS 2010. Without bias wherever the
    log shows each page that the new policy may show. The variance grows with the weights: with a
    page's places, exponentially.
    """
    weight = np.minimum(walked.page_weight, most)
    used = np.broadcast_to(weight[:, None], walked.weight.shape)
    terms = weight * walked.click.sum(axis=1)
    return _mean(walked, terms, used, (0.0, _largest(weight, most)))


def snips(walked: Walked, most: float = np.inf) -> Columns:
    """Self-normalised inverse propensity score.

        V = Σ_i w_{1:K} Σ_k r_k / Σ_i w_{1:K}

    Swaminathan & Joachims, NIPS 2015. A bias of order 1/n, for less variance: it does not
    depend on how heavy the drawn pages happen to be, and never exceeds the greatest reward.
    """
    weight = np.minimum(walked.page_weight, most)
    above = walked.share * weight * walked.click.sum(axis=1)
    used = np.broadcast_to(weight[:, None], walked.weight.shape)
    return Columns(above[:, None], (walked.share * weight)[:, None], used)


def rips(walked: Walked, most: float = np.inf) -> Columns:
    """Reward-interaction inverse propensity score.

        V = 1/n Σ_i Σ_k w_{1:k} r_k

    McInerney et al., KDD 2020. Without bias if a click depends on the items at its place and before
    it, not on those after it (the cascade): its variance is that of the places up to the click.
    """
    weight = np.minimum(walked.weight, most)
    terms = (weight * walked.click).sum(axis=1)
    return _mean(walked, terms, weight, (0.0, _largest(weight, most)))


def snrips(walked: Walked, most: float = np.inf) -> Columns:
    """Reward-interaction inverse propensity score, self-normalised at each place.

        V = Σ_k (Σ_i w_{1:k} r_k / Σ_i w_{1:k})

    As `rips`, with the normalisation of `snips`.
    """
    weight = np.minimum(walked.weight, most)
    share = walked.share[:, None]
    return Columns(share * weight * walked.click, share * weight, weight)


def dm(walked: Walked, most: float = np.inf) -> Columns:
    """Direct method.

        V = 1/n Σ_i E_{a ~ new policy} [Σ_k q(x_i, a_k, k)]

    Dudik, Langford & Li, ICML 2011, sec. 2.1. As good as the click model: its bias is not in its
    interval.
    """
    del most
    return _mean(walked, walked.direct, None)


def dr(walked: Walked, most: float = np.inf) -> Columns:
    """Doubly robust.

        V = 1/n Σ_i (DM_i + w_{1:K} Σ_k (r_k - q(x_i, a_k, k)))

    Dudik, Langford & Li, ICML 2011, eq. 1. Without bias if the propensities are right, whatever the
    click model is; the better that is, the less variance.
    """
    weight = np.minimum(walked.page_weight, most)
    residual = weight * (walked.click - walked.fitted).sum(axis=1)
    used = np.broadcast_to(weight[:, None], walked.weight.shape)
    return _mean(walked, walked.direct + residual, used)


def switch_dr(walked: Walked, most: float = np.inf) -> Columns:
    """Doubly robust where weights are small, the direct method where they are large.

        V = 1/n Σ_i (DM_i + Σ_k w_{1:k} 1[w_{1:k} <= τ] (r_k - q(x_i, a_k, k)))

    Wang, Agarwal & Dudik, ICML 2017, here with the weights up to each place; τ is ``most``,
    or else `SWITCH_AT`. What it takes from the model has the model's bias.
    """
    limit = most if np.isfinite(most) else SWITCH_AT
    weight = np.where(walked.weight <= limit, walked.weight, 0.0)
    residual = (weight * (walked.click - walked.fitted)).sum(axis=1)
    return _mean(walked, walked.direct + residual, weight)


def cascade_dr(walked: Walked, most: float = np.inf) -> Columns:
    """Doubly robust for pages under the cascade.

        V = 1/n Σ_i Σ_k (w_{1:k} (r_k - Q_k(x_i, a_{1:k})) + w_{1:k-1} E_{a ~ new policy} [Q_k])

    Kiyohara et al., WSDM 2022; the recursion is that of Jiang & Li, ICML 2016, eq. 10. Q_k is what
    is expected from place k on: here q(x, a_k, k) + H_{k+1}, the clicks that the places after it
    bring as such. Without bias under the assumption of `rips`, whatever Q is.
    """
    weight = np.minimum(walked.weight, most)
    before = np.minimum(walked.weight_before, most)
    corrected = weight * (walked.click - walked.fitted - walked.later)
    terms = (corrected + before * (walked.expected + walked.later)).sum(axis=1)
    return _mean(walked, terms, weight)


@dataclass(frozen=True)
class Estimator:
    """An estimator.

    Parameters
    ----------
    name
        As it is shown.
    columns
        Returns what it is computed from, with weights of at most so much.
    of_pages
        Whether it is another one than those before it only where pages have several places.
    """

    name: str
    columns: Callable[[Walked, float], Columns]
    of_pages: bool = False


ESTIMATORS = (
    Estimator("IPS", ips),
    Estimator("SNIPS", snips),
    Estimator("RIPS", rips, of_pages=True),
    Estimator("SNRIPS", snrips, of_pages=True),
    Estimator("DM", dm),
    Estimator("DR", dr),
    Estimator("switch-DR", switch_dr),
    Estimator("cascade-DR", cascade_dr, of_pages=True),
)
"""All of them, in the order in which they are shown."""


def _mean(
    walked: Walked,
    terms: Floats,
    used: Floats | None,
    bounds: tuple[float, float] | None = None,
) -> Columns:
    """Return the columns of a mean over the pages."""
    share = walked.share
    if bounds is not None:
        most = share.max(initial=1.0)
        bounds = bounds[0] * most, bounds[1] * most
    return Columns((share * terms)[:, None], share[:, None], used, bounds)


def _largest(weight: Floats, most: float) -> float:
    """Return the greatest weight: the limit, or where there is none, the greatest in the log."""
    return most if np.isfinite(most) else float(weight.max(initial=1.0))
