"""What the version before has written is read: snapshots, and states of learners."""

import json

import numpy as np
import pytest

from online_models.engine import Engine
from online_models.engine.snapshot import KEPT, NAMES_5, OPTIONAL_PARTS
from online_models.learners.ranker import RankerLearner
from online_models.memory.layout import Limits
from online_models.ranking.features.registry import (
    COMMON_SCHEMA,
    FITTING_SCHEMAS,
    N_COMMON,
    N_FEATURES,
    SCHEMA,
)
from online_models.ranking.network import COMMON, N_BASE, N_NETWORK
from records import example, ranker_weights
from tests.contract.without_optional import narrow

LIMITS = Limits(max_items=512, max_sessions=256, pairs=256)


def taught(remote):
    engine = Engine(LIMITS, sample=0 if remote else 1, remote=remote)
    for s in range(150):
        number = engine.open_session()
        for step in range(3):
            engine.learn(number, f"i{(s % 40) + step}", at_s=1_000 + s)
    if remote:
        rng = np.random.default_rng(0)
        for i in range(0, 40, 2):
            engine.put_vectors(f"i{i}", *rng.normal(size=(2, 64)).astype(np.float32))
    return engine


def as_version_5(folder, remote):
    """Rename and retype the tables of a snapshot as version 5 wrote them."""
    meta = json.loads((folder / "meta.json").read_text())
    meta |= {"version": 5, "schema": "41e7a5bb"}
    (folder / "meta.json").write_text(json.dumps(meta))
    has_vectors = np.load(folder / "has_vectors.npy")
    (folder / "has_vectors.npy").unlink()
    for now, before in NAMES_5.items():
        table = np.load(folder / f"{now}.npy")
        if now in ("item_adagrad", "token_adagrad"):
            table = table.view(np.float32).reshape(-1, 4)
        if now == "item_adagrad" and remote:
            table[:, 0] = has_vectors
        if now == "counters":
            table = table.view(np.int64)
        if now == "prequential":
            table = table.view(np.float32)
        (folder / f"{now}.npy").unlink()
        np.save(folder / f"{before}.npy", table)


@pytest.mark.parametrize("remote", [False, True])
def test_a_snapshot_of_version_5_is_read(remote, tmp_path):
    """An upgrade must not cost the counts that are older than the log."""
    engine = taught(remote)
    engine.snapshot(tmp_path / "s")
    as_version_5(tmp_path / "s", remote)
    restored = Engine.restore(tmp_path / "s")
    for table in KEPT:
        ours, theirs = engine.arrays[table.name], restored.arrays[table.name]
        if table.name == "items":
            ours["pool"] = theirs["pool"] = 0
        assert ours.tobytes() == theirs.tobytes(), table.name
    assert restored.with_vectors == engine.with_vectors


# ---- what was learned before there were optional features


def test_the_schema_of_the_features_before_is_known():
    """A feature that is added to the common ones makes what was learned before useless."""
    assert {COMMON_SCHEMA, SCHEMA} <= FITTING_SCHEMAS
    assert COMMON_SCHEMA == "6a4f4584"
    assert COMMON == N_COMMON == 64


def test_a_snapshot_without_optional_features_is_read(tmp_path):
    """An upgrade must not cost the counts that are older than the log, nor the ranker."""
    engine = taught(remote=False)
    engine.arrays["network"][:, :N_BASE] += 1
    engine.snapshot(tmp_path / "s")
    meta = json.loads((tmp_path / "s" / "meta.json").read_text()) | {"schema": COMMON_SCHEMA}
    (tmp_path / "s" / "meta.json").write_text(json.dumps(meta))
    for name, part in OPTIONAL_PARTS.items():
        file = tmp_path / "s" / f"{name}.npy"
        np.save(file, np.load(file)[part])
    restored = Engine.restore(tmp_path / "s")
    for table in KEPT:
        ours, theirs = engine.arrays[table.name], restored.arrays[table.name]
        part = OPTIONAL_PARTS.get(table.name, slice(None))
        if table.name != "items":
            assert ours[part].tobytes() == theirs[part].tobytes(), table.name
    assert not restored.arrays["network"][:, N_BASE:].any()
    assert (restored.arrays["feature_variance"][N_COMMON:] == 1).all()
    rows = [engine.row("i3"), engine.row("i4")]
    assert restored.recommend(rows, 20).rows.tolist() == engine.recommend(rows, 20).rows.tolist()


def cases(n, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        features = np.zeros((N_FEATURES, 12), np.float32)
        features[:N_COMMON] = rng.normal(size=(N_COMMON, 12)).astype(np.float16)
        yield features, int(np.argmax(features[4]))


def test_a_ranker_learned_without_optional_features_goes_on():
    """A ranker that begins anew answers with the blend for an hour."""
    learner, other = RankerLearner(seed=1), RankerLearner(seed=2)
    for case in cases(50):
        learner.learn(*case)
    assert other.load(narrow(learner.dump()))
    assert other.dump() == learner.dump()
    assert not other.load(narrow(learner.dump())[:8] + N_NETWORK.to_bytes(4, "little"))


def test_records_without_optional_features_are_read():
    """Two days of examples, and the last weights, wait in their topics at an upgrade."""
    features, target = next(cases(1))
    message = example.parse(
        example.encode(example.Example("s", example.Applied(1, 2, 3), features, target))
    )
    whole = example.decode(message)
    message.feature_schema = COMMON_SCHEMA
    message.packed_features = example._changes(features[:N_COMMON])
    assert (example.decode(message).features == whole.features).all()
    message.item_ids.extend(f"c{i}" for i in range(12))
    message.features = example.pack_features(features[:N_COMMON])
    assert (example.decode(message).features == whole.features).all()

    learner = RankerLearner()
    for case in cases(20):
        learner.learn(*case)
    weights = learner.weights()
    record = ranker_weights.pb.LearnerState.FromString(
        ranker_weights.encode(ranker_weights.pb.LearnerState(learned=weights.steps), weights)
    )
    record.weights.feature_schema = COMMON_SCHEMA
    for name, size in (("network", N_BASE), ("mean", COMMON), ("variance", COMMON)):
        setattr(record.weights, name, getattr(record.weights, name)[: 4 * size])
    got = ranker_weights.decode(record.SerializeToString())
    assert got.fits
    for name in ranker_weights.SIZES:
        assert (getattr(got.weights, name) == getattr(weights, name)).all(), name
