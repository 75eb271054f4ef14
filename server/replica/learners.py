"""Where the learners stand, as a replica has read it, for `nextclick status` and Prometheus."""

from __future__ import annotations

from typing import Any

from nextclick.v1.learning_pb2 import LearnerState
from server import metrics

_SHOWN = (
    "version",
    "applied",
    "checksum",
    "repetitions",
    "passed_over",
    "passed_over_checksum",
    "learned",
    "paused",
)


def describe(state: LearnerState) -> dict[str, Any]:
    """Return a learner's state as plain values."""
    passed_over = state.passed_over / state.applied if state.applied else 0.0
    return {
        **{name: getattr(state, name) for name in _SHOWN},
        "share": 1 - passed_over,
        "sampling": sampling(state),
    }


def sampling(state: LearnerState) -> bool:
    """Whether a learner is late, and learns a sample of the sessions that begin."""
    return bool(state.sampled) and state.sampled[-1].until_incarnation == 0


def show(model: str, state: LearnerState) -> None:
    """Set the gauges of a learner."""
    metrics.LEARNER_PUBLISHED.labels(model).set(state.timestamp_ms / 1000)
    metrics.LEARNER_APPLIED.labels(model).set(state.applied)
    metrics.LEARNER_PASSED_OVER.labels(model).set(state.passed_over)
    metrics.LEARNER_SAMPLING.labels(model).set(sampling(state))
    metrics.LEARNER_PAUSED.labels(model).set(state.paused)
