"""Permutation importance: what it permutes, what it measures, and its intervals."""

import numpy as np
import pytest

from evaluation import importance as module
from evaluation.datasets import Session
from evaluation.importance import (
    Group,
    Sample,
    groups,
    importance,
    interval,
    permuted,
    ranks_of,
    samples_of,
)
from evaluation.prequential import learn_all
from online_models.engine import Engine
from online_models.memory.layout import Limits
from online_models.ranking.features.feature import Entity
from online_models.ranking.features.registry import FEATURES, N_FEATURES, NAMES
from online_models.sources.registry import SOURCES

PLACE, SEQ, LENGTH = (NAMES.index(name) for name in ("place", "seq", "session_log_length"))


class Reader:
    """A ranker that reads a single feature."""

    def __init__(self, place):
        self.place = place

    def ranker_scores(self, features):
        return features[self.place]


def made(n=40, seed=0):
    """Cases of ten sessions whose target is the candidate with the largest `seq`."""
    rng = np.random.default_rng(seed)
    samples = []
    for i in range(n):
        x = rng.normal(size=(N_FEATURES, 30)).astype(np.float32)
        x[LENGTH] = i
        samples.append(Sample(i % 10, x, int(np.argmax(x[SEQ]))))
    return samples


def test_a_feature_that_decides_is_important_and_one_that_nobody_reads_is_not():
    """The table would praise what the ranker does without."""
    wanted = [Group("seq", "feature", (SEQ,)), Group("place", "feature", (PLACE,))]
    seq, place = importance(Reader(SEQ), made(), wanted, repeats=3)
    assert seq.mrr > 70
    assert seq.hit_rate > 10
    assert seq.mrr_95[0] < seq.mrr < seq.mrr_95[1]
    assert (place.hit_rate, place.mrr, place.mrr_95) == (0, 0, (0, 0))
    again = importance(Reader(SEQ), made(), wanted, repeats=3)
    assert again == [seq, place], "the same seed gives the same figures"


def test_what_differs_among_candidates_is_permuted_among_them_and_together():
    """Features of a group that were torn apart would be cases that never happen."""
    samples = made()
    changed = list(permuted(samples, [SEQ, PLACE], np.random.default_rng(1)))
    for sample, x in zip(samples, changed, strict=True):
        order = [int(np.flatnonzero(sample.features[SEQ] == v)[0]) for v in x[SEQ]]
        assert sorted(order) == list(range(30))
        assert (x[PLACE] == sample.features[PLACE][order]).all()
        rest = [k for k in range(N_FEATURES) if k not in (SEQ, PLACE)]
        assert (x[rest] == sample.features[rest]).all()
    assert any((x[SEQ] != s.features[SEQ]).any() for s, x in zip(samples, changed, strict=True))


def test_what_is_the_same_for_all_candidates_comes_from_another_case():
    """Permuted among candidates, it would stay as it is: never important."""
    assert FEATURES[LENGTH].entity is Entity.SESSION
    samples = made()
    changed = list(permuted(samples, [LENGTH], np.random.default_rng(1)))
    assert all(len(set(x[LENGTH])) == 1 for x in changed)
    values = [x[LENGTH, 0] for x in changed]
    assert values != list(range(40))
    assert sorted(values) == list(range(40))


def test_a_target_that_is_no_candidate_is_a_miss_whatever_is_permuted():
    """It would otherwise shift the features of all cases after it."""
    samples = [s._replace(target=-1) if i % 2 else s for i, s in enumerate(made())]
    ranks = ranks_of(Reader(SEQ), samples)
    assert ranks.tolist() == [1, 0] * 20
    same = iter([s.features for s in samples if s.target >= 0])
    assert ranks_of(Reader(SEQ), samples, same).tolist() == ranks.tolist()


def test_equal_scores_are_ordered_as_the_page_orders_them():
    """The candidate that the blend has first comes first."""
    x = np.zeros((N_FEATURES, 5), np.float32)
    ranks = ranks_of(Reader(SEQ), [Sample(0, x, target) for target in range(5)])
    assert ranks.tolist() == [1, 2, 3, 4, 5]


def test_intervals_draw_whole_sessions():
    """Cases of a session are alike: drawn one by one, they look more certain than they are."""
    values = np.repeat(np.random.default_rng(0).normal(size=50), 20)
    alone = interval(values, np.arange(1_000))
    whole = interval(values, np.repeat(np.arange(50), 20))
    assert whole[1] - whole[0] > 3 * (alone[1] - alone[0])
    assert interval(np.ones(10), np.arange(10)) == (1, 1)


def test_every_feature_is_in_a_group_of_each_kind_that_it_belongs_to():
    """A feature that was added must appear in the table by itself."""
    found = groups()
    assert [g.name for g in found if g.kind == "feature"] == list(NAMES)
    by_source = {g.name: {NAMES[k] for k in g.places} for g in found if g.kind == "source"}
    columns = {s.name: {c.name for c in s.columns} for s in SOURCES if s.columns}
    for name, of in columns.items():
        assert by_source[name] >= of | {f"root_{c}" for c in of}
    assert {NAMES[k] for g in found if g.kind == "family" for k in g.places} | {
        f for of in by_source.values() for f in of
    } == set(NAMES)


@pytest.fixture
def learned():
    engine = Engine(Limits(max_items=64, max_sessions=1_024, pairs=256), sample=1)
    learn_all(engine, sessions(0, 900))
    assert engine.examples > 500
    return engine


def sessions(first, n):
    return [Session(f"s{i}", tuple(f"i{(i + step) % 20}" for step in range(4)))
            for i in range(first, first + n)]  # fmt: skip


def test_the_ranks_are_those_of_the_answers(learned):
    """The importance of a ranking that nobody gets says nothing."""
    asked = sessions(1_000, 20)
    ranks = ranks_of(learned, samples_of(learned, asked, 0))
    expected = []
    for session in asked:
        for p in range(1, 4):
            rows = learned.rows_of(session.items[:p])
            answer = learned.recommend(rows, 20).rows.tolist()
            if learned.ranking != "ranker":
                shadows = dict(learned.shadows(20, learned.asked))
                answer = shadows["ranker"].rows.tolist()
            row = learned.row(session.items[p])
            expected.append(answer.index(row) + 1 if row in answer else 0)
    assert np.where(ranks > 20, 0, ranks).tolist() == expected


def test_at_most_so_many_cases_are_kept(learned):
    """Features of a million cases do not fit into memory."""
    asked = sessions(1_000, 20)
    few = samples_of(learned, asked, 3, most=10)
    assert len(few) == 10
    assert [s.session for s in few] == sorted(s.session for s in few)
    assert len(samples_of(learned, asked, 3)) == 60 < module.MOST_CASES
