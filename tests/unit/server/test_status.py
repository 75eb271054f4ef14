"""A replica reports what a count from outside gives, and every figure has a test."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from prometheus_client import REGISTRY

from nextclick.codec import Item, encode_item
from nextclick.v1.learning_pb2 import LearnerState
from nextclick.v1.scoreboard_pb2 import Score
from nextclick.v1.session_pb2 import SessionRecord
from online_models.engine import Engine
from online_models.memory.layout import Limits
from online_models.ranking.rankings import NAMES as RANKINGS
from records import item_vectors
from records.item_vectors import ItemVectors
from records.refused import INVALID, Refused
from server import status
from server.replica import log_watch
from server.replica.examples import ExampleEmitter
from server.replica.lag_meter import Lag
from server.replica.replica import Replica, Role
from tests.unit.documented_figures import ROOT, explained, figures

BY_NAME = {"lags", "scores", "learners", "scoreboard", "windows", "kept_snapshots"}
"""Figures whose keys are names: of topics, models, sizes, snapshots."""


LIMITS = Limits(max_items=64, max_sessions=64, pairs=64)


def replica():
    return Replica(Engine(LIMITS, sample=0, remote=True))


def names_in(value, *, by_name=False):
    """Return the names of all figures in plain values; those at a cut-off without it."""
    inner = value.items() if isinstance(value, dict) else ()
    found = {re.sub(r"_(5|10|20)$", "", key) for key, _ in inner if not by_name}
    for key, held in inner:
        found |= names_in(held, by_name=not by_name and key in BY_NAME)
    for held in value if isinstance(value, list) else ():
        found |= names_in(held)
    return found


def full_replica():
    """A replica of which every figure of the status has a value."""
    it = replica()
    score = Score(model="ranker")
    score.drifts.add(began_ms=1)
    score.windows.add(size=1_000).at.add(k=20)
    it.apply_score(b"ranker", score.SerializeToString())
    it.apply_learner(b"vectors", LearnerState(applied=1).SerializeToString())
    it.lags = {"sessions": Lag(1, 2)}
    it.refused.add(Refused("sessions", 0, 1, INVALID, "torn"))
    it.kept_snapshots = {"kept-1": "of other limits"}
    return it


def test_every_figure_of_the_status_is_explained(monkeypatch):
    """An operator steers by them, and has to know what they count."""
    learned = {"blend": {"hit_rate": 0.6, "mrr": 0.2}}
    monkeypatch.setattr(Engine, "prequential_scores", property(lambda _: learned))
    said = status.describe(full_replica(), serving=True)
    assert all(said[name] for name in BY_NAME & set(said))
    emitter = SimpleNamespace(
        emitted=0, passed_over=0, passed_over_checksum=0, sessions=SimpleNamespace(sampling=False)
    )
    found = names_in(said | ExampleEmitter.describe(emitter))
    assert {"ms", "repetitions", "noticed_ms", "slope", "hit_rate", "since_ms", "offset"} <= found
    assert found <= explained()


def test_every_figure_is_held_to_the_truth_by_a_test_that_exists():
    """A renamed test would leave a figure to whoever changes it next."""
    for names, path, test in figures():
        assert f"def {test}(" in (ROOT / path).read_text(), names


def test_counts_are_those_of_what_was_applied():
    """Counted by hand: repeated, older and late records among them."""
    it = replica()
    records = {}
    for name, item_id in [("a", "i1"), ("b", "i2"), ("a", "i2"), ("a", "i3"), ("c", "i1")]:
        record = records.setdefault(name, SessionRecord(session_id=name))
        record.version += 1
        record.steps.add(item_id=item_id, seq=record.version, timestamp_ms=record.version)
        for _ in range(2):
            it.apply_session(name.encode(), record.SerializeToString())
    for item_id in ("i3", "i4", "i5"):
        it.apply_item(item_id.encode(), encode_item(Item(item_id)))
    it.apply_item(b"i5", encode_item(Item("i5", deleted=True)))
    some = np.ones(64, np.float32)
    for item_id in (b"i1", b"i2", b"i2", b"nobody's"):
        it.apply_vectors(item_id, item_vectors.encode(ItemVectors(some, some)))
    it.apply_vectors(b"i1", None)
    it.positions = {("shop.sessions", 0): 7, ("shop.sessions", 1): 3, ("shop.items", 0): 50}
    found = status.describe(it, serving=True)
    assert {
        name: found[name]
        for name in ("position", "clicks", "sessions", "items", "catalogue", "vectors")
    } == {
        "position": 10,
        "clicks": 5,
        "sessions": 3,
        "items": 5,
        "catalogue": 2,
        "vectors": 1,
    }


def gauge(name, **labels):
    return REGISTRY.get_sample_value(name, labels)


def test_the_gauges_of_the_live_score_are_what_the_scoreboard_says():
    """Alerts are set on the gauges, and people then look at the scoreboard."""
    score = Score(model="gauged", click_through_rate=0.25, timestamp_ms=6_000_000)
    score.drifts.add(began_ms=1_000_000)
    score.drifts.add(began_ms=5_000_000)
    for size in (1_000, 10_000):
        window = score.windows.add(size=size, cases=7, coverage=0.5, diversity=0.75, popularity=2)
        window.at.add(k=20, hit_rate=size / 100_000, mrr=0.125, ndcg=0.375)
    it = replica()
    it.apply_score(b"gauged", score.SerializeToString())
    said = status.describe(it, serving=True)["scoreboard"]["gauged"]["windows"]
    for size, window in said.items():
        for name in ("hit_rate_20", "mrr_20", "ndcg_20", "coverage", "diversity", "popularity"):
            found = gauge("nextclick_score", model="gauged", metric=name, window=size)
            assert found == window[name]
    assert said["10000"]["hit_rate_20"] == pytest.approx(0.1)
    assert said["10000"]["shown"] is None
    assert gauge("nextclick_click_through_rate", model="gauged") == 0.25
    assert gauge("nextclick_drift_began_timestamp_seconds", model="gauged") == 5_000
    assert gauge("nextclick_score_published_timestamp_seconds", model="gauged") == 6_000


def test_the_gauges_of_sizes_are_those_of_the_status(monkeypatch):
    """Both are read beside the thread that learns."""
    it = replica()
    learned = {"ranker": {"hit_rate": 0.7, "mrr": 0.3}, "blend": {"hit_rate": 0.6, "mrr": 0.2}}
    monkeypatch.setattr(Engine, "prequential_scores", property(lambda _: learned))
    record = SessionRecord(session_id="a", version=2)
    for seq in (1, 2):
        record.steps.add(item_id=f"i{seq}", seq=seq, timestamp_ms=seq)
    it.apply_session(b"a", record.SerializeToString())
    some = np.ones(64, np.float32)
    it.apply_vectors(b"i1", item_vectors.encode(ItemVectors(some, some)))
    log_watch._show_size(it)
    found = {
        name: gauge(f"nextclick_{metric}")
        for name, metric in (
            ("clicks", "model_clicks"),
            ("sessions", "sessions"),
            ("items", "items"),
            ("vectors", "vectors"),
            ("items_waiting", "items_waiting"),
        )
    }
    said = status.describe(it, serving=True)
    assert found == {name: said[name] for name in found}
    assert found["clicks"] == 2
    for model, scores in said["scores"].items():
        for metric, score in scores.items():
            assert gauge("nextclick_prequential_score", model=model, metric=metric) == score
    assert said["scores"] == learned
    answering = {name: gauge("nextclick_answering", model=name) for name in RANKINGS}
    assert [name for name, answers in answering.items() if answers] == [said["ranking"]]


def test_vectors_that_an_emitter_holds_are_counted():
    """While clicks and learner are far apart, they wait here."""
    it = Replica(Engine(LIMITS, sample=0, remote=True), Role.EMITTER)
    some = np.ones(64, np.float32)
    vectors = ItemVectors(some, some, offsets=(5,))
    it.apply_vectors(b"i1", item_vectors.encode(vectors))
    log_watch._show_size(it)
    assert gauge("nextclick_held_vectors") == 1


def test_the_share_that_is_learned_is_that_of_the_learners_counts():
    """An operator sees there that quality was given up for speed, and an alert that it is now."""
    it = replica()
    state = LearnerState(applied=200, checksum=7, passed_over=50, passed_over_checksum=3)
    state.timestamp_ms = 7_000
    it.apply_learner(b"vectors", state.SerializeToString())
    state.sampled.add(from_incarnation=5, share=0.25)
    state.paused = True
    it.apply_learner(b"ranker", state.SerializeToString())
    learners = status.describe(it, serving=True)["learners"]
    for model, sampling in (("vectors", False), ("ranker", True)):
        said = learners[model]
        assert (said["share"], said["sampling"]) == (0.75, sampling)
        assert (said["applied"], said["checksum"]) == (200, 7)
        assert (said["passed_over"], said["passed_over_checksum"]) == (50, 3)
        assert gauge("nextclick_learner_applied", model=model) == 200
        assert gauge("nextclick_learner_passed_over", model=model) == 50
        assert gauge("nextclick_learner_sampling", model=model) == sampling
        assert gauge("nextclick_learner_paused", model=model) == said["paused"] == sampling
        assert gauge("nextclick_learner_published_timestamp_seconds", model=model) == 7
    state.sampled[0].until_incarnation = 9
    it.apply_learner(b"ranker", state.SerializeToString())
    assert not status.describe(it, serving=True)["learners"]["ranker"]["sampling"]
