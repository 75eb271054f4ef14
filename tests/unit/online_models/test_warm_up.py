"""After warm-up, no click and no request waits for a kernel to be compiled or loaded."""

import subprocess
import sys

import pytest

EVERYTHING = """
import sys
import numpy as np
from numba.core.dispatcher import Dispatcher
from online_models.engine import Engine, Filter
from online_models.engine.warm_up import warm_up, warm_up_learners
from online_models.learners.click import LEARN_FROM_CLICK
from online_models.learners.vectors import VectorLearner
from online_models.memory.layout import Limits

remote = sys.argv[1] == "remote"


def loaded():
    return {
        (kernel.__module__, kernel.__name__, signature)
        for module in list(sys.modules.values())
        if module.__name__.startswith("online_models")
        for kernel in vars(module).values()
        if isinstance(kernel, Dispatcher)
        for signature in kernel.signatures
    }


warm_up(remote)
if not remote:
    warm_up_learners()
warm = loaded()
assert warm
rng = np.random.default_rng(0)
limits = Limits(max_items=128, max_sessions=64, pairs=64)
engine = Engine(limits, sample=0 if remote else 1, remote=remote)
engine.arrays["counters"]["clock"] = LEARN_FROM_CLICK
for i in range(60):
    shop = {"categories": ("a", f"c{i % 3}"), "attributes": {"x": "y"}, "title": "some words"}
    engine.put_item(f"i{i}", i % 5 > 0, **shop)
    engine.put_vectors(f"i{i}", *rng.normal(size=(2, 64)).astype(np.float32))
for s in range(200):
    number = engine.open_session()
    for step in range(60 if s % 20 == 0 else 4):
        engine.learn(number, f"i{rng.integers(80)}", at_s=1_000 + s)
    engine.learn(number, "i3", 1, 1_000)
    engine.strengthen("i4")
    engine.strengthen("i4", 2)
engine.place(engine.open_session(), "i1", 1_000)
engine.forget_session(number - 1)
filters = [None, Filter(), Filter(("a",)), Filter(("a", "none"), (1, 2), True)]


def ask():
    session = engine.session_rows(number)
    for flt in filters:
        for k in (1, 20, 512):
            for query in ([], [1], [1, 2, 3], session):
                engine.recommend(query, k, flt=flt)
                engine.recommend(query, k, number, flt, (1, 2))
                engine.shadows(k, engine.asked)
            engine.similar(1, k, flt)
            engine.trending(k, flt)
    for rows in ([1, 2], session):
        answer = engine.recommend(rows, 20)
        engine.rank(rows, [0, 1, 60], number)
        engine.explain(rows, answer.rows, number)
        engine.diversity(answer.rows)
        engine.popularity(answer.rows)
        engine.candidates(rows, number)
    engine.example(number, "i1")
    assert engine.ranking and engine.prequential_scores is not None


ask()
now = [0.0]
engine.begin_index(lambda: now[0])
for _ in range(3):
    ask()
    engine.nearest.make(100)
    engine.index.rebuild()
    now[0] += 1
engine.delete_item("i7")
engine.put_item("i7", False)
for i in range(300):
    engine.learn(number, f"invented{i}")
    engine.put_item(f"new{i}", categories=("a",))
ask()
if not remote:
    learner = VectorLearner(64)
    for i in range(200):
        slot = learner.learn(-1, [], f"i{i}")
        learner.learn(slot, [f"i{i}"], f"i{i // 2}")
        learner.put_item(f"i{i}", [1, 2])
        learner.to_publish(10)
cold = sorted(f"{module}.{name} {signature}" for module, name, signature in loaded() - warm)
sys.exit("\\n".join(cold) or 0)
"""


@pytest.mark.parametrize("which", ["remote", "learning"])
def test_every_kernel_that_clicks_and_requests_reach_is_loaded(which):
    """The first near item held up a server for 16 ms, while its kernel was read from the cache."""
    argv = [sys.executable, "-c", EVERYTHING, which]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
