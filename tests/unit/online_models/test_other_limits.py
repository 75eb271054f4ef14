"""A snapshot is read into larger limits without a change, and into smaller ones by evicting."""

import dataclasses

import numpy as np
import pytest

from online_models.engine import Engine, SnapshotError, resize
from online_models.memory.layout import Limits
from online_models.memory.table import Kept, Table
from online_models.sources.pair_successors import pair_slot
from online_models.sources.rules import RULE_SLABS
from online_models.sources.session_knn import RING_SLABS
from tests.unit.online_models.test_leaving import check, churn

LIMITS = Limits(max_items=256, max_sessions=128, pairs=128)
LARGER = {
    "max_items": 1_000,
    "max_sessions": 512,
    "pairs": 1 << 12,
    "rules_per_item": 128,
    "ring_per_item": 128,
    "provisional_share": 0.5,
}
SMALLER = {
    "max_items": 100,
    "max_sessions": 32,
    "pairs": 16,
    "rules_per_item": 8,
    "ring_per_item": 4,
    "provisional_share": 0.1,
}


def taught(limits=LIMITS, seed=0, clicks=4_000):
    """An engine that has seen more items and sessions than it holds; some sessions are long."""
    engine = Engine(limits, sample=0, remote=True)
    rng = np.random.default_rng(seed)
    for i in range(0, 120, 3):
        engine.put_item(f"i{i}", categories=(f"c{i % 5}", "all"), available=i % 4 > 0)
        engine.put_vectors(f"i{i}", *rng.normal(size=(2, 64)).astype(np.float32))
    while engine.clicks < clicks:
        number = engine.open_session()
        at = int(120 * rng.random() ** 2) + engine.clicks // 40
        for step in range(40 if number % 9 == 0 else 4):
            engine.learn(number, f"i{at + int(step * rng.random()) % 30}", at_s=1_000 + number)
    engine.delete_item("i3")
    return engine


def read(engine, tmp_path, limits):
    """The engine's snapshot, read into other limits."""
    engine.snapshot(tmp_path / "s")
    return Engine.restore(tmp_path / "s", limits)


def answers(engine):
    """What the models say: items and scores for many sessions, filters and calls."""
    given = [engine.trending(20)]
    for number in range(engine.next_session - 20, engine.next_session):
        kept = engine.session_rows(number)
        given += [engine.recommend(kept, 20, number), engine.similar(int(kept[-1]), 10)]
    return [([engine.item_id(row) for row in a.rows], a.scores.tolist()) for a in given]


def go_on(engine):
    """Learn thousands of clicks on old and new items; the table stays sound throughout."""
    churn(engine, days=20, sessions=50)
    check(engine)
    assert len(engine.recommend([], 20).rows) == 20


@pytest.mark.parametrize("which", [*LARGER, "all"])
def test_in_larger_limits_answers_are_the_same_to_the_bit(tmp_path, which):
    """More room is no reason to forget, or to answer otherwise before the next click."""
    engine = taught()
    more = LARGER if which == "all" else {which: LARGER[which]}
    restored = read(engine, tmp_path, dataclasses.replace(LIMITS, **more))
    assert restored.limits == dataclasses.replace(LIMITS, **more)
    assert answers(restored) == answers(engine)
    assert restored.rows == engine.rows
    assert restored.with_vectors == engine.with_vectors
    go_on(restored)


def test_a_sweep_that_is_under_way_goes_on_in_larger_limits(tmp_path):
    """Sessions and pairs have other places there: none may be passed over."""
    engine = taught()
    i = 0
    while not (engine._sweep.active and engine._sweep.phase > 2):
        engine.learn(engine.open_session(), f"new{i}")
        i += 1
        assert i < 2_000
    restored = read(engine, tmp_path, dataclasses.replace(LIMITS, **LARGER))
    assert restored._sweep.active
    assert answers(restored) == answers(engine)
    while restored._sweep.active:
        restored._sweep.step(1_000)
    check(restored)
    go_on(restored)


@pytest.mark.parametrize("which", [*SMALLER, "all"])
def test_in_smaller_limits_what_stays_keeps_its_statistics(tmp_path, which):
    """A mended setting must not cost what the smaller tables have room for."""
    engine = taught()
    less = SMALLER if which == "all" else {which: SMALLER[which]}
    limits = dataclasses.replace(LIMITS, **less)
    restored = read(engine, tmp_path, limits)
    check(restored)
    items = len(engine.rows) if "max_items" not in less else 100 - 100 // 32
    assert len(restored.rows) == min(items, len(engine.rows))
    assert len(restored.ids) <= limits.max_items + 1
    for item, row in restored.rows.items():
        for name in ("stats", "target_vectors", "has_vectors", "item_tokens"):
            new, old = restored.arrays[name][row], engine.arrays[name][engine.row(item)]
            if name == "stats":
                new, old = ([x[f].item() for f in ("clicks", "long", "last", "flags")]
                            for x in (new, old))  # fmt: skip
            assert np.array_equal(new, old)
    assert restored.with_vectors == sum(restored.arrays["has_vectors"])
    sessions = min(limits.max_sessions, 128)
    for number in range(engine.next_session - sessions, engine.next_session):
        new = [restored.item_id(row) for row in restored.session_rows(number)]
        old = [engine.item_id(row) for row in engine.session_rows(number)]
        old = [item if item in restored.rows else "" for item in old]
        assert new == old[len(old) - len(new) :]
        assert len(new) >= min(len(old), 10)
    assert len(restored.session_rows(engine.next_session - sessions - 1)) == 0
    go_on(restored)


def test_the_items_that_leave_are_those_worth_least(tmp_path):
    """Deleted ones first, then what is clicked least; the order of rows does not count."""
    engine = Engine(Limits(max_items=64, max_sessions=256, pairs=64), sample=0)
    for i in range(60):
        for _ in range(1 + i):
            engine.learn(engine.open_session(), f"i{i * 7 % 60}")
    often = [f"i{i * 7 % 60}" for i in range(60)]
    engine.delete_item(often[59])
    restored = read(engine, tmp_path, Limits(max_items=32, max_sessions=256, pairs=64))
    assert set(restored.rows) == set(often[59 - 31 : 59])
    assert restored.ids[1:] == [item for item in engine.ids if item in restored.rows]


def test_lists_that_do_not_fit_are_cut_at_their_worse_end(tmp_path):
    """The best rules and the latest sessions of an item are what answers read first."""
    engine = taught()
    restored = read(
        engine, tmp_path, dataclasses.replace(LIMITS, rules_per_item=8, ring_per_item=4)
    )
    shorter = 0
    for row in range(1, len(engine.ids)):
        new, old = restored.arrays["items"][row], engine.arrays["items"][row]
        n, m = RULE_SLABS[new["rules_slab"]], RULE_SLABS[old["rules_slab"]]
        rules = engine.arrays["rules"][old["rules"] : old["rules"] + m]
        cut = restored.arrays["rules"][new["rules"] : new["rules"] + n]
        assert cut.tolist() == rules[:n].tolist()
        n, m = RING_SLABS[new["ring_slab"]], RING_SLABS[old["ring_slab"]]
        clicked = int(old["sessions"])
        turns = [clicked - ago for ago in range(1, min(n, clicked) + 1)]
        ring = engine.arrays["rings"][old["ring"] :][:m]
        cut = restored.arrays["rings"][new["ring"] :][:n]
        assert [cut[t % n] for t in turns] == [ring[t % m] for t in turns]
        shorter += n < m
    assert shorter > 20
    go_on(restored)


@pytest.mark.parametrize("pairs", [16, 1 << 12])
def test_pairs_are_where_they_are_looked_for(tmp_path, pairs):
    """A hash table of another size has other places."""
    engine = taught()
    restored = read(engine, tmp_path, dataclasses.replace(LIMITS, pairs=pairs))
    held = engine.arrays["pairs"]
    held = {int(p["key"]): p.tobytes() for p in held if p["key"]}
    table = restored.arrays["pairs"]
    for place in np.flatnonzero(table["key"]).tolist():
        key = int(table["key"][place])
        assert pair_slot(key >> 32, key & 0xFFFFFFFF, pairs)[0] == place
        assert held[key] == table[place].tobytes()
    assert (table["key"] > 0).sum() == (len(held) if pairs > 128 else 16)


def test_a_table_that_cannot_get_another_size_refuses_the_snapshot(tmp_path, monkeypatch):
    """Guessing where an extension's entries belong would mix them up."""
    grows = Table("blend_gradient", np.float32, (lambda limits: limits.max_items,), Kept.WHOLE)
    monkeypatch.setattr(resize, "KEPT", (*resize.KEPT, grows))
    lay_out = resize.lay_out

    def with_table(old, was, new, limits):
        for arrays, at in ((old, was), (new, limits)):
            arrays[grows.name] = grows.allocate(at, 0)
        lay_out(old, was, new, limits)

    monkeypatch.setattr(resize, "lay_out", with_table)
    engine = taught(clicks=10)
    with pytest.raises(SnapshotError, match=r"blend_gradient .* cannot be read into other limits"):
        read(engine, tmp_path, dataclasses.replace(LIMITS, max_items=300))


@pytest.mark.parametrize(("kept", "needs"), [(Kept.HASHED, "place"), (Kept.ARENA, "lists")])
def test_a_declaration_says_what_reading_into_other_limits_needs(kept, needs):
    """An extension learns of it at its import, not when a shop changes a setting."""
    with pytest.raises(TypeError, match=needs):
        Table("mine", np.int32, (8,), kept)


def test_a_hash_table_of_another_size_is_hashed_anew(tmp_path, monkeypatch):
    """Deleted ids in wrong places would be admitted again."""
    engine = taught(clicks=10)
    for i in range(100):
        engine.delete_item(f"gone{i}")
    engine.snapshot(tmp_path / "s")
    [table] = [t for t in resize.KEPT if t.name == "deleted_ids"]
    saved = np.load(tmp_path / "s" / "deleted_ids.npy")
    assert len(saved) == 100
    for size in (64, 1 << 20):
        larger = np.zeros(size, saved.dtype)
        table.put_hashed(larger, saved)
        places = np.flatnonzero(larger["key"])
        assert table.place(larger[places], size).tolist() == places.tolist()
        assert len(places) == 100 or size < 100


@pytest.mark.parametrize("shape", [(), (1,), (63,), (2, 64)])
def test_a_row_of_another_width_is_refused_before_anything_changes(shape):
    """numpy would spread a single number over the row, and the item would have got a row."""
    engine = Engine(LIMITS, sample=0, remote=True)
    with pytest.raises(ValueError, match=r"target_vectors has the shape \(64,\)"):
        engine.put_row("target_vectors", "x", np.ones(shape, np.float32))
    assert engine.row("x") == 0
    assert engine.put_row("target_vectors", "x", np.ones(64, np.float32))
