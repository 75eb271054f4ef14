"""Compiles every kernel ahead of time, for `make setup`: ``python -m cli.kernels``.

A kernel that is compiled on first use keeps a job or a server waiting for up to a minute. And
results are bit-identical only with identical machine code, which a fresh compilation and its cached
form are not.
"""

from __future__ import annotations

import numpy as np

from evaluation.rankings import warm_up as warm_up_evaluation
from online_models.engine import Engine
from online_models.learning import LEARN_FROM_CLICK
from online_models.memory.layout import CLOCK, DIMENSIONS, Limits
from online_models.ranking.features import N_FEATURES
from online_models.ranking.learner import RankerLearner
from online_models.vectors.learner import VectorLearner
from server.__main__ import warm_up as warm_up_server

SESSIONS = 130
"""Enough for the replay of old sessions and cases to begin, at 100."""


def main() -> None:
    """Run each kernel once, with the argument types of its later calls."""
    warm_up_evaluation()
    for remote in (False, True):
        warm_up_server(remote=remote)
    emit_and_search()
    vectors = VectorLearner(64)
    vectors.put_item("a", [1, 2])
    for _ in range(SESSIONS):
        slot = vectors.learn(-1, [], "a")
        vectors.learn(slot, ["a"], "b")
    vectors.to_publish(64)
    vectors.changes()
    ranker = RankerLearner()
    features = np.random.default_rng(0).normal(size=(N_FEATURES, 8)).astype(np.float32)
    for _ in range(SESSIONS):
        ranker.learn(features, 1)


def emit_and_search() -> None:
    """Make a case as the example emitter does, and query the vector index as the server does."""
    engine = Engine(Limits(max_items=64, max_sessions=64, pairs=64), sample=0, remote=True)
    number = engine.open_session()
    for item_id in ("a", "b", "a"):
        engine.learn(number, item_id)
    engine.arrays["ctr"][CLOCK] = LEARN_FROM_CLICK
    assert engine.example(number, "b") is not None
    index = engine.begin_index()
    for item_id in ("a", "b"):
        vector = np.ones(DIMENSIONS, np.float32)
        engine.put_vectors(item_id, vector, vector)
    index.swap(index.build())
    engine.recommend([1], 20)


if __name__ == "__main__":
    main()
