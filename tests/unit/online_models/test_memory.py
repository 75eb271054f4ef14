"""Memory: what the formula says is what the tables take, and what a full process takes."""

import json
import subprocess
import sys

import pytest

from online_models.learners.ranker import RankerLearner
from online_models.learners.vectors import VectorLearner
from online_models.memory.layout import Limits
from online_models.state_tables import TABLES, max_bytes, new_arrays

FILL = """
import json, sys, numpy as np, psutil
from online_models.engine import Engine
from online_models.memory.layout import Limits
from online_models.state_tables import max_bytes

items, sessions = int(sys.argv[1]), int(sys.argv[2])
limits = Limits(max_items=items, max_sessions=sessions)
Engine(Limits(max_items=64, max_sessions=64, pairs=64), sample=50).learn(0, "x")
before = psutil.Process().memory_info().rss
engine = Engine(limits, sample=50)
rng = np.random.default_rng(0)
walk = rng.permutation(items)
for n in range(sessions + sessions // 20):
    number = engine.open_session()
    # Every item is clicked in two sessions, which confirms it, and some of them often.
    engine.learn(number, f"item-{walk[n // 2 % items]}")
    engine.learn(number, f"item-{int(items * rng.random() ** 3)}")
for n in range(0, items, 50):
    engine.put_item(f"item-{n}", categories=(f"c{n % 97}",), title=f"word{n % 1009}")
rows = [engine.row(f"item-{n}") for n in range(3)]
assert len(engine.recommend(rows, 20).rows) == 20
grown = psutil.Process().memory_info().rss - before
print(json.dumps({"rows": len(engine.ids) - 1, "grown": grown, "most": max_bytes(limits)}))
"""


@pytest.mark.parametrize(
    "limits",
    [
        Limits(),
        Limits(max_items=1_000, max_sessions=1 << 12, pairs=1 << 10),
        Limits(2_000_000, 1 << 22, rules_per_item=16, ring_per_item=16),
    ],
)
def test_the_formula_is_what_the_tables_take(limits):
    """Operators size machines by it."""
    arrays = new_arrays(limits)
    taken = sum(arrays[table.name].nbytes for table in TABLES if not table.view_of)
    assert taken + 200 * limits.rows == max_bytes(limits)


def test_a_learner_by_itself_takes_only_its_own_tables():
    """The ranker job needs no table by item, however many the shop has."""
    item_tables = {t.name for t in TABLES if "rows" in t.shape}
    ranker = RankerLearner()
    assert all(len(ranker.arrays[name]) == 2 for name in item_tables)
    vectors = VectorLearner(max_items=500)
    taken = {name for name in item_tables if len(vectors.arrays[name]) == 501}
    assert taken == {
        "context_vectors", "target_vectors", "has_vectors", "item_adagrad", "token_sums",
        "item_tokens", "stats", "becomes",
    }  # fmt: skip


def fill(items, sessions):
    argv = [sys.executable, "-c", FILL, str(items), str(sessions)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("items", "sessions"),
    [
        (5_000, 1 << 14),
        pytest.param(1_000_000, 1 << 21, marks=[pytest.mark.long, pytest.mark.timeout(1_500)]),
    ],
)
def test_a_full_process_stays_inside_it(items, sessions):
    """A replica that outgrows its container dies at the worst hour."""
    result = fill(items, sessions)
    assert result["rows"] > 0.9 * items
    assert result["grown"] <= result["most"]
