"""What the version before has written is read: snapshots, and states of learners."""

import json

import numpy as np
import pytest

from online_models.engine import Engine
from online_models.engine.snapshot import KEPT, NAMES_5
from online_models.memory.layout import Limits

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
