"""Compiles every kernel, or loads it from the cache, by using small models.

``python -m online_models.engine.warm_up`` compiles all of them; `make setup` runs it. Compiling a
kernel on first use would keep a job or a server waiting for a minute. And results are equal bit for
bit only with the same machine code, which a fresh compilation and its cached form are not.
"""

from __future__ import annotations

import time

import numpy as np

from online_models.content.terms import Content, counted
from online_models.engine.engine import Engine
from online_models.engine.similar import By
from online_models.learners.click import LEARN_FROM_CLICK
from online_models.learners.ranker import RankerLearner
from online_models.learners.sample import DEFAULT_SAMPLE
from online_models.learners.vectors import VectorLearner
from online_models.memory.layout import Limits
from online_models.ranking.conditions import InRange
from online_models.ranking.features.registry import N_FEATURES
from online_models.ranking.request import Filter, Past
from online_models.vectors.two_towers import DIMENSIONS

TINY = Limits(max_items=64, max_sessions=64, pairs=64)
SMALLER = Limits(max_items=32, max_sessions=64, pairs=64)
PRICED = InRange("price", 1.0)


def warm_up(remote: bool = False) -> Engine:
    """Return an engine that has learned and answered once in every way.

    Parameters
    ----------
    remote
        As in `Engine`: without learning vectors and ranker.
    """
    engine = Engine(TINY, sample=0 if remote else DEFAULT_SAMPLE, remote=remote)
    # As if enough clicks had been learned for cases.
    engine.arrays["counters"]["clock"] = LEARN_FROM_CLICK
    for _ in range(3):
        number = engine.open_session()
        for item in ("a", "b", "a", "c"):
            engine.learn(number, item)
        engine.learn(number, "d", 1)
    engine.place(engine.open_session(), "a")
    engine.strengthen("a")
    engine.put_item(
        "e", categories=("x",), title="warm", kind="k", numbers={"price": 2.0}, until_ms=9_000
    )
    engine.pass_time(1, 1)
    engine.example(number, "b")
    past = Past(np.array([1, 2], np.int32), np.array([100, 200]), np.zeros(2, np.uint8))
    engine.learn(engine.open_session(), "a", past=past)
    engine.recommend([1], 20, past=past)
    engine.recommend([], 20, past=past)
    for flt in (None, Filter(("x",), (1,), True), Filter(kinds=("k",), condition=PRICED)):
        engine.recommend([1, 2], 20, 0, flt)
        engine.recommend([1, 2], 20, 0, flt, enter=lambda step: None)
        engine.shadows(20, engine.asked)
        engine.trending(20, flt)
    rows = engine.recommend([1, 2], 20).rows
    engine.diversity(rows)
    engine.popularity(rows)
    engine.rank([1], [2])
    engine.explain([1], np.array([2], np.int32))
    engine.ranker_scores(engine.candidate_features([1, 2], 0).features)
    engine.item_features(1)
    assert engine.ranking
    other = Engine(TINY, sample=engine.sample, remote=remote)
    _replace_items(other)
    _answer_from_index(other)
    _answer_by_content(other)
    other.lists.make(np.array(list(other.rows.values())))
    other.resized(SMALLER)
    return engine


def _replace_items(engine: Engine) -> None:
    """Have items leave: for others of the catalogue, and unconfirmed ones for newer ones."""
    robot = engine.open_session()
    for i in range(2 * TINY.max_items):
        engine.learn(robot, f"invented {i}")
        engine.put_item(f"item {i}")


def _answer_from_index(engine: Engine) -> None:
    """Have items with vectors, and a page that near ones fill."""
    items = list(engine.rows)[-2:]
    for item in items:
        engine.put_vectors(item, *np.ones((2, DIMENSIONS), np.float32))
    engine.begin_index(time.monotonic).rebuild()
    engine.similar(engine.rows[items[0]], 20)


def _answer_by_content(engine: Engine) -> None:
    """Have items with content, and a page with a new one."""
    content = engine.begin_content(time.monotonic)
    items = list(engine.rows)[-2:]
    for item in items:
        embedding = (1.0, 2.0) if item == items[0] else ()
        is_now = counted(Content(("warm",), embedding=embedding))
        engine.put_content(engine.rows[item], is_now)
    content.refit()
    row = engine.rows[items[0]]
    engine.similar(row, 20, by=By.MIX)
    assert engine.new_items is not None
    engine.new_items.renew()
    assert engine.new_items.list_next()
    engine.recommend([row], 20)


def warm_up_learners() -> None:
    """Learn once with the learners of the vectors job and the ranker job."""
    vectors = VectorLearner(64)
    slot = vectors.learn(-1, [], "a")
    vectors.learn(slot, ["a"], "b")
    vectors.put_item("a", [1])
    vectors.to_publish(10)
    for n in range(100):  # until items leave
        vectors.learn(-1, [], f"i{n}")
    ranker = RankerLearner()
    for _ in range(2):
        ranker.learn(np.zeros((N_FEATURES, 5), np.float32), 1)


def main() -> None:
    """Compile all kernels; takes a minute or two the first time."""
    started = time.perf_counter()
    warm_up()
    warm_up(remote=True)
    warm_up_learners()
    print(f"kernels are compiled ({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
