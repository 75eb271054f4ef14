"""Answers go on while a snapshot is written: no call of its thread holds the GIL for long."""

import json
import random
import shutil
from itertools import count

import numpy as np
import pytest

from online_models.engine import Engine, snapshot
from online_models.memory.layout import Limits
from online_models.memory.table import Kept
from online_models.state_tables import new_arrays
from tests.longest_call import longest_call

ITEMS = 1 << 18

PARTS = 6
"""A call takes less than this part of encoding all ids at once: 5 ms where that takes 30. Whole
snapshots were seen at a 14th on a busy machine, a 24th to a 59th otherwise; the faults took 7 ms to
110, encoding all ids among them."""


@pytest.fixture(scope="module")
def engine():
    """Models at the default limits that have seen many items, half of which are deleted ones."""
    engine = Engine(Limits(max_sessions=64), sample=0, remote=True)
    engine.ids += [f"item-{n}" for n in range(ITEMS)]
    rows = list(range(1, ITEMS + 1))
    random.Random(1).shuffle(rows)
    engine.deleted.update(dict.fromkeys(rows[: ITEMS // 2]))
    engine.arrays["pairs"]["key"][::2] = 1
    return engine


def test_no_call_holds_up_answers(engine, tmp_path):
    """Encoding all ids at once kept answers waiting for 70 ms, a list of deleted rows for 50."""

    folders = map(str, count())
    took, where = longest_call(lambda: engine.snapshot(tmp_path / next(folders)))
    shutil.rmtree(tmp_path)  # hundreds of megabytes; not while calls are timed
    at_once, _ = longest_call(lambda: json.dumps(engine.ids))
    assert took < at_once / PARTS, where


def test_parts_make_the_same_files(tmp_path):
    """The version before, and tools that read `.npy` and JSON, must find what they know."""
    arrays = new_arrays(Limits(max_items=8, max_sessions=64, pairs=1 << 16))
    arrays["pairs"]["key"][::3] = 7
    arrays["counters"]["next_session"] = 40
    lists = {f"list of {n}": list(range(n)) for n in (0, 1, 499, 500, 501, 1_000)}
    meta = {**lists, "seed": 7, "ids": ["", 'a"b', "\u00fc"], "sweep": {"bound": float("-inf")}}
    snapshot.write(tmp_path / "s", arrays, Limits(), meta)
    text = (tmp_path / "s" / "meta.json").read_text()
    assert text == json.dumps(json.loads(text))
    assert {name: json.loads(text)[name] for name in meta} == meta
    for table in snapshot.KEPT:
        array = arrays[table.name][: snapshot.used(arrays, Limits())[table.name]]
        if table.kept is Kept.HASHED:
            array = array[array["key"] != 0]
        np.save(tmp_path / "expected.npy", array)
        written = (tmp_path / "s" / f"{table.name}.npy").read_bytes()
        assert written == (tmp_path / "expected.npy").read_bytes(), table.name
