"""Evaluation in process: it never sees the future, and its figures follow from its ranks."""

from evaluation.datasets import Session
from evaluation.prequential import learn_all, score_all, summary
from online_models.engine import Engine
from online_models.memory.layout import Limits

SMALL = Limits(max_items=256, max_sessions=64, pairs=64)


class Spy(Engine):
    """Records the order of calls."""

    def __init__(self):
        super().__init__(SMALL)
        self.calls = []

    def learn(self, session, item_id, place=None, at_s=0):
        self.calls.append(("learn", session, item_id))
        super().learn(session, item_id, place, at_s)

    def recommend(self, items, k, own=-1, flt=None, times_s=(0, 0)):
        self.calls.append(("ask", own, [self.item_id(r) for r in items]))
        return super().recommend(items, k, own, flt, times_s)


def sessions():
    return [
        Session("s1", ("a", "b", "c"), (10, 20, 30)),
        Session("s2", ("a", "b"), (15, 25)),
    ]


def score(engine, learn, **kwargs):
    settings = {"min_prefix": 1, "k": 5, **kwargs}
    return score_all(engine, sessions(), learn=learn, **settings)


def test_each_case_is_scored_before_its_click_is_learned():
    """A target that is learned before it is asked for would be found by memory."""
    engine = Spy()
    learn_all(engine, [Session("t", ("a", "b", "c"))])
    start = engine.next_session
    engine.calls.clear()
    score(engine, learn=True)
    asked = [call for call in engine.calls if call[0] == "learn" or call[1] >= 0]
    first, second = start, start + 1
    expected = [
        ("learn", first, "a"),
        ("learn", second, "a"),
        ("ask", first, ["a"]),
        ("learn", first, "b"),
        ("ask", second, ["a"]),
        ("learn", second, "b"),
        ("ask", first, ["a", "b"]),
        ("learn", first, "c"),
    ]
    once = [c for i, c in enumerate(asked) if i == 0 or c != asked[i - 1]]
    assert once == expected


def test_static_evaluation_learns_nothing():
    """Frozen figures are compared with published ones: the models must not move."""
    engine = Spy()
    learn_all(engine, [Session("t", ("a", "b", "c"))])
    clicks = engine.clicks
    engine.calls.clear()
    cases, times = score(engine, learn=False)
    assert engine.clicks == clicks
    assert times == []
    assert not [call for call in engine.calls if call[0] == "learn"]
    assert len(cases.ranks) == 3


def test_min_prefix_leaves_out_the_first_cases():
    """Some protocols begin with the third click."""
    cases, _ = score(Engine(SMALL), learn=False, min_prefix=2)
    assert (cases.session_ids, cases.positions) == (["s1"], [3])


def test_a_target_that_the_models_do_not_know_is_a_miss():
    """An unknown item must not be found in row 0."""
    engine = Engine(SMALL)
    learn_all(engine, [Session("t", ("a", "x"))])
    cases, _ = score(engine, learn=False)
    assert cases.ranks == [0, 0, 0]


def test_new_targets_are_counted_apart():
    """Finding again what the visitor has seen is easy: the share of new ones is said."""
    engine = Engine(SMALL)
    learn_all(engine, [Session("t", ("a", "b", "a", "b"))])
    cases, _ = score_all(
        engine,
        [Session("s", ("a", "b", "a"))],
        learn=False,
        min_prefix=1,
        k=5,
    )
    result = summary(cases, 5, 2, 1.0, [])
    assert cases.repeated == [False, True]
    assert (result["cases"], result["repeat_share"]) == (2, 0.5)
    assert result["hit_rate_new"] == result["hit_rate"] == 1.0
    assert result["coverage"] == 1.0


def test_progress_is_reported_up_to_the_last_click():
    """Whoever watches a long evaluation must see it end."""
    reports = []
    engine = Engine(SMALL)
    learn_all(engine, sessions(), lambda *report: reports.append(report), "reading")
    assert reports[-1] == ("reading", 5, 5, "")
    score(engine, learn=True, progress=lambda *report: reports.append(report), task="asking")
    task, done, total, note = reports[-1]
    assert (task, done, total) == ("asking", 5, 5)
    assert note.startswith("hit rate ")
