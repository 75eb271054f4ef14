"""First pages: how often a session's first click is among the items shown before it.

With the sessions of trivago, each of which has a country site and a device: the page of popular
items against pages that begin with what is popular in that context.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluation.click_files.content import text_of
from evaluation.errors import UnreadableFileError
from online_models import metrics
from online_models.engine import Engine
from online_models.memory.layout import Limits

K = 20

LIMITS = Limits(max_items=1 << 16, max_sessions=1 << 13, pairs=1 << 13)

SINCE = 0.5
"""The first half of the log is only learned: `context_popularity.PRIOR` was chosen on it."""

ROUNDS = 1_000
"""Bootstrap samples of an interval."""

KNOWN: Mapping[str, tuple[bool, bool]] = {
    "popular everywhere": (False, False),
    "device": (True, False),
    "country": (False, True),
    "device and country": (True, True),
}
"""What the request says of the context: device, country."""


class Step(NamedTuple):
    """A visitor's step at an item, and where the visitor is."""

    session_id: str
    time_s: int
    item_id: str
    device: str
    country: str


class FirstPage(NamedTuple):
    """How good pages before the first click are.

    ``gain`` is the difference of the hit rate to that of what is popular everywhere, with its 95 %
    interval over the sessions; all as fractions.
    """

    hit_rate: float
    mrr: float
    gain: tuple[float, float, float]


def load_steps(path: Path) -> list[Step]:
    """Return the steps at items of a trivago log, by time.

    Raises
    ------
    UnreadableFileError
        With file and line for a time that is none.
    """
    with text_of(path) as lines:
        steps = list(_steps(path, csv.DictReader(lines)))
    return sorted(steps, key=lambda step: step.time_s)


def _steps(path: Path, rows: csv.DictReader[str]) -> Iterator[Step]:
    for row in rows:
        if row["reference"].isdigit():
            try:
                time_s = int(row["timestamp"])
            except ValueError as e:
                raise UnreadableFileError(path, f"timestamp: {e}", rows.line_num) from e
            yield Step(row["session_id"], time_s, row["reference"], row["device"], row["platform"])


def score_first_pages(
    steps: Sequence[Step], since: float = 0.0
) -> tuple[int, dict[str, FirstPage]]:
    """Score the page before each session's first click, then learn the click, as all others.

    Parameters
    ----------
    steps
        Steps of visitors, by time.
    since
        Share of the steps that are only learned, 0..1.

    Returns
    -------
    The number of sessions, and the scores by name in `KNOWN`.
    """
    engine = Engine(LIMITS, sample=0)
    numbers: dict[str, int] = {}
    ranks: dict[str, list[int]] = {name: [] for name in KNOWN}
    for place, step in enumerate(steps):
        if step.session_id not in numbers:
            numbers[step.session_id] = engine.open_session()
            if place >= since * len(steps):
                for name, (device, country) in KNOWN.items():
                    said = (step.device if device else "", step.country if country else "", "")
                    ranks[name].append(_rank(engine, step.item_id, said))
        said = (step.device, step.country, "")
        engine.learn(numbers[step.session_id], step.item_id, at_s=step.time_s, said=said)
    plain = np.array(ranks["popular everywhere"]) > 0
    scores = {
        name: FirstPage(
            metrics.hit_rate(of, K), metrics.mrr(of, K), _gain((np.array(of) > 0) * 1.0 - plain)
        )
        for name, of in ranks.items()
    }
    return len(plain), scores


def _rank(engine: Engine, item_id: str, said: tuple[str, ...]) -> int:
    """Return an item's place on a first page, from 1; 0: it is not there."""
    row = engine.row(item_id)
    page = engine.recommend([], K, said=said).rows.tolist()
    return page.index(row) + 1 if row and row in page else 0


def _gain(differences: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the mean of differences, and its 95 % bootstrap interval."""
    pick = np.random.default_rng(0)
    n = len(differences)
    means = [differences[pick.integers(0, n, n)].mean() for _ in range(ROUNDS)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(differences.mean()), float(low), float(high)


def first_page_rows(path: Path) -> list[tuple[str, str]]:
    """Return the rows of the results page."""
    sessions, scores = score_first_pages(load_steps(path), SINCE)
    rows = []
    for name, score in scores.items():
        gain, low, high = (100 * part for part in score.gain)
        more = "" if name == "popular everywhere" else f" ({gain:+.2f}: {low:+.2f} to {high:+.2f})"
        told = f"new visitor (trivago_100k, {sessions:,} sessions): {name}"
        rows.append((told, f"{100 * score.hit_rate:.2f}{more}"))
    return rows
