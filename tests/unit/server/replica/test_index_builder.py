"""Nearest items in answers: new ones are found at once, deleted ones never."""

import time
import weakref

import numpy as np
import pytest
from prometheus_client import REGISTRY

from online_models.engine import Engine, Filter
from online_models.memory.layout import Limits
from online_models.ranking.page import FILL_SCORE
from server.replica.index_builder import BETWEEN_BUILDS_S, CHANGES, IndexBuilder
from server.replica.replica import Replica

LIMITS = Limits(max_items=4_096, max_sessions=64, pairs=64)


@pytest.fixture
def replica():
    """Two kinds of items with vectors; one item of each kind was clicked once."""
    rng = np.random.default_rng(8)
    replica = Replica(Engine(LIMITS, sample=0, remote=True))
    engine = replica.engine
    engine.begin_index(time.monotonic)
    centres = rng.normal(size=(2, 64)).astype(np.float32)
    for i in range(400):
        noise = 0.2 * rng.normal(size=64).astype(np.float32)
        vector = centres[i % 2] + noise
        engine.put_item(f"{'ab'[i % 2]}{i}")
        engine.put_vectors(f"{'ab'[i % 2]}{i}", vector, vector)
    for kind in ("a0", "b1"):
        engine.learn(engine.open_session(), kind)
    return replica


def answered(engine, item_id, k=20, flt=None):
    """Answer twice: the first one asks for the list that the second one reads."""
    engine.recommend([engine.row(item_id)], k, flt=flt)
    if engine.nearest is not None:
        engine.nearest.make(10)
    ranked = engine.recommend([engine.row(item_id)], k, flt=flt)
    assert len(set(ranked.rows.tolist())) == len(ranked.rows)
    assert (np.diff(ranked.scores) <= 0).all()
    return [engine.item_id(row) for row in ranked.rows], ranked.scores


def test_a_page_that_counts_cannot_fill_has_what_is_near(replica):
    """A visitor of a new item would else get the same popular items as everybody."""
    ids, scores = answered(replica.engine, "a0")
    assert len(ids) == 20
    assert all(item_id[0] == "a" for item_id in ids)
    assert scores[-1] > FILL_SCORE


def test_new_vectors_are_in_the_next_answer_and_deleted_items_in_none(replica):
    """Within a second of its catalogue entry, and at once when it is gone."""
    engine = replica.engine
    vector = engine.arrays["context_vectors"][engine.row("b1")]
    engine.put_item("new")
    engine.put_vectors("new", vector, vector)
    assert "new" in answered(engine, "b1")[0]
    assert "new" in [engine.item_id(r) for r in engine.similar(engine.row("b1"), 10).rows]
    engine.delete_item("new")
    assert "new" not in answered(engine, "b1", 200)[0]
    engine.put_vectors("new", vector, vector)
    assert "new" not in answered(engine, "b1", 200)[0]


def test_filters_hold_for_what_is_near(replica):
    """A filter is a promise to the caller, whoever fills the page."""
    engine = replica.engine
    engine.put_item("a2", categories=("x",))
    engine.put_item("b3", categories=("x",))
    ids, _ = answered(engine, "a0", 2, Filter(categories=("x",)))
    assert sorted(ids) == ["a2", "b3"]
    rows = tuple(engine.row(f"a{i}") for i in range(0, 40, 2))
    ids, _ = answered(engine, "a0", 20, Filter(excluded_rows=rows))
    assert not {engine.row(i) for i in ids} & set(rows)


def test_the_builder_builds_and_watches(replica):
    """Recall that falls unseen is a slow loss of everything new."""
    rng = np.random.default_rng(9)
    builder = IndexBuilder(replica)
    index = replica.engine.index
    gauge = REGISTRY.get_sample_value
    builds = gauge("nextclick_index_builds_total")
    for i in range(1_200):
        replica.engine.put_item(f"c{i}")
        replica.engine.put_vectors(f"c{i}", *rng.normal(size=(2, 64)).astype(np.float32))
    assert index.due
    builder.maintain_index(1_000.0)
    assert gauge("nextclick_index_builds_total") == builds + 1
    assert not index.due
    assert index.delta_size == 0
    assert REGISTRY.get_sample_value("nextclick_index_recall") > 0.9
    for i in range(1_100):
        replica.engine.put_item(f"d{i}")
        replica.engine.put_vectors(f"d{i}", *rng.normal(size=(2, 64)).astype(np.float32))
    builder.maintain_index(1_001.0)
    assert index.due, "built again too soon"
    assert gauge("nextclick_index_delta") == 1_100
    assert gauge("nextclick_index_builds_total") == builds + 1
    # On a busy machine a build takes long, and the pause after it twenty times as long.
    assert builder._next_build >= 1_000.0 + BETWEEN_BUILDS_S
    builder.maintain_index(builder._next_build + 1)
    assert not index.due


def test_a_failed_build_is_counted_and_tried_again(replica, monkeypatch):
    """A build that failed once must not be the last."""
    rng = np.random.default_rng(9)
    builder = IndexBuilder(replica)
    index = replica.engine.index
    for i in range(1_200):
        replica.engine.put_item(f"c{i}")
        replica.engine.put_vectors(f"c{i}", *rng.normal(size=(2, 64)).astype(np.float32))
    before = REGISTRY.get_sample_value("nextclick_index_builds_failed_total")
    with monkeypatch.context() as broken:
        broken.setattr(index, "swap", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            builder.maintain_index(1_000.0)
    assert REGISTRY.get_sample_value("nextclick_index_builds_failed_total") == before + 1
    assert index.due
    builder.maintain_index(1_001.0)
    assert index.delta_size == 0


def test_no_slice_takes_over_many_changes_of_a_build(replica, monkeypatch):
    """Answers wait while a slice holds the lock."""
    rng = np.random.default_rng(9)
    index = replica.engine.index
    build, swap, parts = index.build, index.swap, []

    def build_beside_changes():
        main = build()
        for i in range(1_000):
            replica.engine.put_item(f"c{i}")
            replica.engine.put_vectors(f"c{i}", *rng.normal(size=(2, 64)).astype(np.float32))
        return main

    def noted(main, at_most=None):
        parts.append(at_most)
        return swap(main, at_most)

    monkeypatch.setattr(index, "build", build_beside_changes)
    monkeypatch.setattr(index, "swap", noted)
    for i in range(1_200):
        replica.engine.put_item(f"d{i}")
        replica.engine.put_vectors(f"d{i}", *rng.normal(size=(2, 64)).astype(np.float32))
    IndexBuilder(replica).maintain_index(1_000.0)
    assert index.delta_size == 1_000
    assert parts == [CHANGES] * len(parts)
    assert len(parts) >= 1_000 / CHANGES


def test_the_index_before_is_freed_without_the_lock(replica):
    """To free its graph takes 1.2 ms with 30,000 rows, 25 with 262,144."""
    index = replica.engine.index
    index.rebuild()
    held = []
    weakref.finalize(index._main, lambda: held.append(replica._lock.locked()))
    IndexBuilder(replica)._rebuild(index)
    assert held == [False]


def test_a_restart_indexes_what_the_snapshot_has(replica, tmp_path):
    """Vectors of a snapshot come from no topic again."""
    replica.engine.delete_item("a4")
    replica.engine.snapshot(tmp_path / "models")
    again = Engine.restore(tmp_path / "models")
    again.begin_index(time.monotonic)
    assert again.index.due
    again.index.rebuild()
    ids, _ = answered(again, "a0", 200)
    assert all(item_id[0] == "a" for item_id in ids[:90])
    assert "a4" not in ids
