"""Vector baselines: they find what their only source says, and nothing of it by accident."""

import numpy as np
import pytest

from evaluation.baselines import VectorRanking, content_vectors, covisit_vectors, covisits
from online_models.engine import Engine
from online_models.memory.layout import Limits

LIMITS = Limits(max_items=256, max_sessions=1_024, pairs=256)


@pytest.fixture
def engine():
    """Three groups of items; sessions stay in a group."""
    engine = Engine(LIMITS, sample=0)
    rng = np.random.default_rng(1)
    for i in range(90):
        engine.put_item(f"i{i}", categories=(f"c{i % 3}",), title=f"word{i % 9}")
    for _ in range(400):
        number, group = engine.open_session(), int(rng.integers(3))
        for _ in range(4):
            engine.learn(number, f"i{3 * int(rng.integers(25)) + group}")
    return engine


def groups(engine, ranked):
    return {int(engine.item_id(int(row))[1:]) % 3 for row in ranked.rows}


def test_covisit_counts_are_those_of_the_models(engine):
    """What is factorised must be what the models counted."""
    rows, columns, counts = covisits(engine)
    assert (counts > 0).all()
    pairs = set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert all((b, a) in pairs for a, b in list(pairs)[:200])
    named = {(int(engine.item_id(a)[1:]) % 3, int(engine.item_id(b)[1:]) % 3) for a, b in pairs}
    assert named == {(0, 0), (1, 1), (2, 2)}


def test_both_find_the_session_s_group(engine):
    """Co-visits and content say the same here, each by itself."""
    for vectors in (covisit_vectors(engine), content_vectors(engine)):
        assert vectors.shape == (len(engine.ids), 64)
        ranking = VectorRanking(vectors)
        for group in range(3):
            rows = [engine.row(f"i{group}"), engine.row(f"i{group + 3}")]
            assert groups(engine, ranking(rows, 10)) == {group}


def test_content_knows_items_without_clicks_and_covisits_do_not(engine):
    """That is what each of them is there to show."""
    new = engine.row("i81")  # of the same words, and no session has had it
    listed = VectorRanking(content_vectors(engine))([engine.row("i0")], 40).rows
    assert new in listed
    assert new not in VectorRanking(covisit_vectors(engine))([engine.row("i0")], 90).rows


def test_an_unknown_session_gets_a_list_all_the_same(engine):
    """Row 0 is no item, and nothing to fail of."""
    ranking = VectorRanking(content_vectors(engine))
    assert len(ranking([0], 5).rows) == 5
    assert len(ranking([], 5).rows) == 5
    assert 0 not in ranking([0], 50).rows
