"""One contract for every ranking: each source alone, and the blend of all."""

import numpy as np
import pytest

from online_models.engine import Engine, SnapshotError
from online_models.engine.snapshot import KEPT
from online_models.memory.layout import Limits
from online_models.ranking.blend import SINGLE_SOURCE_WEIGHTS
from online_models.sources import session_knn
from online_models.sources.registry import COLUMN

KNN = [COLUMN[column.name] for column in session_knn.SOURCE.columns]
LIMITS = Limits(max_items=512, max_sessions=256, pairs=256)


def make(ranking):
    """An engine of one ranking; the ranker learns from every click."""
    if ranking == "ranker":
        return Engine(LIMITS, sample=1)
    return Engine(LIMITS, weights=SINGLE_SOURCE_WEIGHTS[ranking], sample=0)


@pytest.fixture(params=sorted([*SINGLE_SOURCE_WEIGHTS, "ranker"]))
def engine(request):
    """A ranking that has learned sessions of the pattern i, i+1, i+2."""
    engine = make(request.param)
    for s in range(120):
        number = engine.open_session()
        for step in range(3):
            engine.learn(number, f"i{(s % 40) + step}")
    engine.single_source = request.param
    return engine


def learned(engine):
    """All that was learned, as bytes (scratch inside the tables is left out)."""
    out = {}
    for name in (table.name for table in KEPT):
        table = engine.arrays[name].copy()
        if name == "items":
            table["pool"] = 0
        out[name] = table.tobytes()
    return out


def test_the_right_answer_of_a_known_pattern_is_found(engine):
    """After i5, sessions went to i6: every ranking that looks at sessions must say so."""
    named = [engine.item_id(r) for r in engine.recommend([engine.row("i5")], 6).rows]
    expected = {
        "rules": {"i6", "i7"},
        "blend": {"i6", "i7"},
        "ranker": {"i6", "i7"},
    }.get(engine.single_source, {"i4", "i6"})
    assert expected <= set(named)
    if engine.single_source in ("rules", "blend", "ranker"):
        assert named.index("i6") < [*named, "i4"].index("i4")


def test_scoring_changes_nothing(engine):
    """An answer that changes what the next one sees cannot be repeated or cached."""
    before = learned(engine)
    first = engine.recommend([engine.row("i5"), engine.row("i6")], 20)
    engine.trending(20)
    engine.similar(engine.row("i9"), 20)
    engine.rank([engine.row("i5")], [engine.row("i6"), engine.row("i7")])
    engine.explain([engine.row("i5")], np.array([engine.row("i6")]))
    again = engine.recommend([engine.row("i5"), engine.row("i6")], 20)
    assert learned(engine) == before
    assert first.rows.tolist() == again.rows.tolist()
    assert first.scores.tolist() == again.scores.tolist()


def test_the_session_being_answered_is_never_its_own_neighbour(engine):
    """A session that votes for itself would score its own future."""
    own = engine.open_session()
    for item in ("new-a", "new-b", "i3"):
        engine.learn(own, item)
    _, with_own = engine.candidates(engine.session_rows(own), own)
    rows, scores = engine.candidates([engine.row("new-a")], own)
    assert with_own.max() > 0
    assert scores[:, KNN].max(initial=0) == 0
    assert engine.row("new-a") in rows.tolist()


def test_a_snapshot_restores_the_same_answers_and_goes_on_learning(engine, tmp_path):
    """A restart that forgets or alters anything would change answers without a click."""
    engine.put_item("i7", categories=("shoes",))
    engine.delete_item("i8")
    engine.snapshot(tmp_path / "s")
    restored = Engine.restore(tmp_path / "s")
    assert learned(restored) == learned(engine)
    for e in (engine, restored):
        number = e.open_session()
        for item in ("i5", "fresh", "i1"):
            e.learn(number, item)
    for query in (["i5"], ["fresh", "i1"], []):
        a, b = (e.recommend([e.row(q) for q in query], 20) for e in (engine, restored))
        assert [engine.item_id(r) for r in a.rows] == [restored.item_id(r) for r in b.rows]
        assert a.scores.tolist() == b.scores.tolist()


def test_memory_does_not_grow_with_the_stream(engine):
    """The tables are allocated once: whatever comes, they stay as they are."""
    sizes = {name: table.nbytes for name, table in engine.arrays.items()}
    rng = np.random.default_rng(0)
    for _ in range(2_000):
        number = engine.open_session()
        for item in rng.integers(0, 5_000, 3).tolist():
            engine.learn(number, f"i{item}")
    assert {name: table.nbytes for name, table in engine.arrays.items()} == sizes
    assert len(engine.ids) <= LIMITS.max_items + 1
    assert len(engine.recommend([engine.row("i5")], 20).rows) == 20


def test_two_engines_fed_alike_agree_to_the_byte(engine):
    """Replicas and rebuilds rest on this: the same order of clicks, the same models."""
    twin = make(engine.single_source)
    for s in range(120):
        number = twin.open_session()
        for step in range(3):
            twin.learn(number, f"i{(s % 40) + step}")
    assert learned(twin) == learned(engine)


@pytest.mark.parametrize("damage", ["meta.json", "rules.npy"])
def test_a_damaged_snapshot_is_refused(engine, tmp_path, damage):
    """Half a snapshot must lead to a rebuild from the log, not to half the models."""
    engine.snapshot(tmp_path / "s")
    file = tmp_path / "s" / damage
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(SnapshotError, match="cannot read the snapshot"):
        Engine.restore(tmp_path / "s")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("blend_weights", lambda table: table.view(np.int32)),
        ("blend_weights", lambda table: table[:-1]),
        ("categories", lambda table: table[:, :1]),
    ],
    ids=["type", "length", "width"],
)
def test_a_table_that_was_declared_otherwise_is_refused(engine, tmp_path, name, change):
    """The features' schema does not know tables: other bytes would pass for what was learned."""
    engine.snapshot(tmp_path / "s")
    file = tmp_path / "s" / f"{name}.npy"
    np.save(file, change(np.load(file)))
    with pytest.raises(SnapshotError, match=f"{name} is .* there, .* here"):
        Engine.restore(tmp_path / "s")
