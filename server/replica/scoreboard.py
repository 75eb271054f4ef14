"""The live scores that a replica has read, for `nextclick status` and Prometheus."""

from __future__ import annotations

from typing import Any

from nextclick.v1.scoreboard_pb2 import Score, ScoreWindow
from server import metrics

_WINDOW = ("coverage", "diversity", "popularity")
_CUTOFF = ("hit_rate", "mrr", "ndcg")
_DRIFT = ("began_ms", "noticed_ms", "hit_rate_before", "hit_rate_after")
_CALIBRATION = ("slope", "intercept", "predicted", "observed")


def describe(score: Score) -> dict[str, Any]:
    """Return a ranking's score as plain values; windows are keyed by their size."""
    return {
        "cases": score.cases,
        "shadow_cases": score.shadow_cases,
        "impressions": score.impressions,
        "attributed_clicks": score.attributed_clicks,
        "click_through_rate": score.click_through_rate,
        "windows": {
            str(w.size): {
                "cases": w.cases,
                "since_ms": w.since_ms,
                "shown": w.shown if w.HasField("shown") else None,
                **_scores(w),
            }
            for w in score.windows
        },
        "drifts": [{name: getattr(d, name) for name in _DRIFT} for d in score.drifts],
        "calibration": {name: getattr(score.calibration, name) for name in _CALIBRATION},
    }


def show(score: Score) -> None:
    """Set the gauges of a ranking."""
    metrics.SCORE_PUBLISHED.labels(score.model).set(score.timestamp_ms / 1000)
    metrics.CLICK_THROUGH_RATE.labels(score.model).set(score.click_through_rate)
    if score.drifts:
        metrics.DRIFT.labels(score.model).set(score.drifts[-1].began_ms / 1000)
    for window in score.windows:
        for name, value in _scores(window).items():
            metrics.SCORE.labels(score.model, name, str(window.size)).set(value)


def _scores(window: ScoreWindow) -> dict[str, float]:
    at = {f"{name}_{c.k}": getattr(c, name) for c in window.at for name in _CUTOFF}
    return at | {name: getattr(window, name) for name in _WINDOW}
