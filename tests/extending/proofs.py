"""Proves each example of docs/extending.md where all of them are applied.

`test_examples.py` runs this in a copy of the code; here, some of the modules do not exist.
"""

# ruff: noqa: I001 - modules that do not exist here are none of ours to ruff

import asyncio
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from prometheus_client import REGISTRY

from cli.stack.layout import Ports
from nextclick import AsyncClient, Client, Event, InvalidRequestError, decode_event, encode_event
from nextclick.topics import IMAGE_VECTORS, TOPICS
from nextclick.v1 import learning_pb2
from nextclick.v1 import recommendation_service_pb2 as pb
from nextclick.v1.scoreboard_pb2 import Score
from nextclick.v1.session_pb2 import EVENT_TYPE_BOOKING, EVENT_TYPE_VIEW, SessionRecord
from online_models.engine import Engine
from online_models.learners.click import LEARN_FROM_CLICK
from online_models.learners.ranker import RankerLearner
from online_models.memory.layout import Limits
from online_models.ranking.blend import TERMS
from online_models.ranking.epsilon_greedy import EPSILON
from online_models.ranking.features.image_vectors import DIMENSIONS, STEP
from online_models.ranking.features.registry import NAMES
from online_models.sources.registry import COLUMN
from records import example, image_vector, ranker_weights
from records.errors import RecordError
from records.session_life import Applied
from server.__main__ import policy_of
from server.replica import snapshot
from server.replica.followed_topics import FOLLOWED
from server.replica.replica import Replica
from server.services.catalogue import Catalogue
from server.services.event import Events
from server.services.features import Features
from server.services.model import Models
from server.services.profiles import UserProfiles
from server.services.recommendation import Recommendations
from server.services.users import Users
from server.transport.server import GrpcServer
from settings.load import load
from settings.server import ServerSettings
from streaming.raw_record import RawRecord
from streaming.sessionize import process
from streaming.tasks.score import ScoreTask
from streaming.tasks.task import TaskOptions
from tests.unit.server.services.shop import FakeRedis, NoImpressions, record

LIMITS = Limits(max_items=512, max_sessions=256, pairs=256)
LIMIT_S = 300.0


def engine_of(*sessions, categories=()):
    """Models that count, as a server's do, after these sessions of items."""
    engine = Engine(LIMITS, sample=0, remote=True)
    # As if enough had been learned for a click to make a case.
    engine.arrays["counters"]["clock"] = LEARN_FROM_CLICK
    for item, category in dict(categories).items():
        engine.put_item(item, categories=(category,))
    for items in sessions:
        learn(engine, items)
    return engine


def learn(engine, items):
    number = engine.open_session()
    for item in items:
        engine.learn(number, item)
    return number


def case_of(engine, session, item):
    """The case of a click: its record as the emitter writes it, and its features by candidate."""
    case = engine.example(session, item)
    value = example.encode(example.Example("s", Applied(version=1), case.features, case.target))
    decoded = example.decode(example.parse(value))
    np.testing.assert_allclose(decoded.features, case.features, rtol=2e-3, atol=1e-3)
    return case, {
        name: dict(zip(case.item_ids, case.features[place].tolist(), strict=True))
        for place, name in enumerate(NAMES)
    }


class Shop:
    """A service over sessions i, i+1, i+2; what it records is in ``impressions``."""

    def __init__(self, policy=None, **settings):
        self.replica = Replica(Engine(LIMITS, sample=0, remote=True))
        self.replica.caught_up = self.replica.whole_log = True
        self.engine = self.replica.engine
        self.engine.policy = policy
        for i in range(60):
            self.apply(record(f"t{i}", [f"i{i % 20}", f"i{i % 20 + 1}", f"i{i % 20 + 2}"]))
        recorder = NoImpressions()
        self.service = Recommendations(self.replica, FakeRedis(), recorder, **settings)
        self.impressions = recorder.seen

    def apply(self, session):
        self.replica.apply_session(b"", session.SerializeToString())

    def recommend(self, **fields):
        raw = pb.RecommendRequest(**fields).SerializeToString()
        answer = pb.RecommendResponse.FromString(self.service.recommend(raw))
        self.service.send_impressions()
        return answer, self.impressions[-1]


def test_the_source_names_items_that_reach_answers_blend_and_ranker():
    kinds = {"a": "shoes", "b": "shoes", "c": "shoes", "d": "hats"}
    engine = engine_of("b", "c", "d", categories=kinds)
    session = learn(engine, "a")
    query = engine.session_rows(session)

    rows, scores = engine.candidates(query, session)
    column = scores[:, COLUMN["category_latest"]]
    named = {engine.ids[row]: score for row, score in zip(rows, column, strict=True)}
    # Of the category, a was clicked last, but that was this session.
    assert named == {"a": 0, "c": 1 / 2, "b": np.float32(1 / 3)}

    answer = engine.recommend(query, 4, session)
    assert {engine.ids[row] for row in answer.rows[: answer.n_ranked]} == {"a", "b", "c"}
    [reasons] = engine.explain(query, np.array([engine.row("c")]), session)
    assert "same-category" in [reason for reason, _, _ in reasons]
    weights = engine.arrays["blend_weights"]
    assert weights[TERMS.index("category_latest")] == np.float32(0.1)

    case, features = case_of(engine, session, "b")
    assert features["category_latest"]["c"] == pytest.approx(1)
    assert features["category_latest"]["b"] == pytest.approx(2 / 3)
    assert features["root_category_latest"]["b"] == pytest.approx((2 / 3) ** 0.5)

    learner = RankerLearner()
    x, target = case.features.copy(), case.target
    for _ in range(3):
        assert learner.learn(x, target) >= 0
    place = NAMES.index("category_latest")
    assert learner.arrays["feature_mean"][place] == pytest.approx(x[place].mean(), rel=1e-3)
    # As if it had learned enough to answer, and were no worse than the blend.
    weights = learner.weights()
    learned = dataclasses.replace(weights, scores=np.zeros_like(weights.scores), steps=1_000)
    value = ranker_weights.encode(learning_pb2.LearnerState(learned=1_000), learned)
    engine.put_ranker(ranker_weights.decode(value).weights)
    assert engine.ranking == "ranker"
    answer = engine.recommend(query, 4, session)
    assert {engine.ids[row] for row in answer.rows[: answer.n_ranked]} == {"a", "b", "c"}


def test_the_feature_is_learned_click_by_click_and_kept_by_a_snapshot(tmp_path):
    engine = engine_of("ab", "acb", "ba")
    # Sessions began with a twice and with b once; both have three clicks.
    expected = {"a": 2 / 4, "b": 1 / 4, "c": 0 / 3}
    session = learn(engine, "c")  # its own beginning with c does not count
    engine.snapshot(tmp_path / "s")
    for models in (engine, Engine.restore(tmp_path / "s")):
        _, features = case_of(models, session, "a")
        assert features["opens"] == pytest.approx(expected)
    assert engine.arrays["openings"][[engine.row(item) for item in "abc"]].tolist() == [2, 1, 1]


def test_the_event_type_strengthens_a_step():
    state = None
    for kind in ("view", "booking"):
        event = Event(kind, "a", 1_764_086_400_000, session_id="s", event_id=kind)
        assert decode_event(encode_event(event)) == event
        raw = RawRecord(encode_event(event), b"s", "events", 0, 0, event.timestamp_ms)
        state, update = process(state, raw)
        session = SessionRecord.FromString(update.record)
        wanted = EVENT_TYPE_VIEW if kind == "view" else EVENT_TYPE_BOOKING
        assert [step.type for step in session.steps] == [wanted]
    assert session.applied == session.version == 2


def test_the_method_answers_over_grpc_and_through_both_clients():
    shop, port = Shop(), Ports.free().grpc
    settings = ServerSettings(grpc_port=port)
    handlers = (
        shop.service,
        Events(None, shop.replica, settings),
        Catalogue(None, shop.replica, ""),
        Users(None, shop.replica, ""),
        UserProfiles(shop.replica, FakeRedis()),
        Models(None, shop.replica, ""),
        Features(shop.replica, FakeRedis()),
    )
    server = GrpcServer(settings, handlers, shop.service.send_impressions)
    server.start()
    target = f"127.0.0.1:{port}"

    async def ask():
        async with AsyncClient(target, timeout_s=LIMIT_S) as client:
            return await client.count_clicks(["i0", "nobody's"])

    try:
        with Client(target, timeout_s=LIMIT_S) as client:
            # Each of 20 patterns was played three times, and i2 is in three of them.
            assert client.count_clicks(["i2", "nobody's", "i0"]) == [9, 0, 3]
            with pytest.raises(InvalidRequestError, match="item_ids"):
                client.count_clicks([])
        assert asyncio.run(ask()) == [3, 0]
    finally:
        server.drain(0)
    # The last answer may not be counted yet: that is done once it is on its way.
    for code in ("OK", "INVALID_ARGUMENT"):
        labels = {"method": "CountClicks", "code": code}
        assert REGISTRY.get_sample_value("nextclick_requests_total", labels) >= 1


def test_the_vectors_come_by_the_log_and_their_feature_is_the_product(tmp_path):
    [followed] = [followed for followed in FOLLOWED if followed.name == IMAGE_VECTORS]
    assert TOPICS[IMAGE_VECTORS].config["cleanup.policy"] == "compact"
    replica = Replica(engine_of("abc", "acb", "bca"))
    vectors = dict(zip("abcd", np.random.default_rng(0).normal(size=(4, DIMENSIONS)), strict=True))
    for item, vector in vectors.items():
        followed.apply(replica, item.encode(), image_vector.encode(vector))
    followed.apply(replica, b"d", None)
    for wrong in (b"short", np.full(DIMENSIONS, np.inf, "<f2").tobytes()):
        with pytest.raises(RecordError):  # the log reader counts it and goes on
            followed.apply(replica, b"a", wrong)
    assert replica.engine.row("d")  # items may have vectors before their first click

    session = learn(replica.engine, "abd")
    halves = {item: vector.astype("<f2").astype(np.float64) for item, vector in vectors.items()}
    h = np.zeros(DIMENSIONS)
    for item in "ab":  # that of d is gone
        h += STEP * (halves[item] - h)
    snapshot.write(replica, tmp_path)
    restored = snapshot.read(tmp_path, LIMITS)
    for models in (replica.engine, restored.engine):
        assert not models.arrays["image_vectors"][models.row("d")].any()
        _, features = case_of(models, session, "c")
        images = features["image"]
        assert images["c"] == pytest.approx(h @ halves["c"], rel=1e-3, abs=1e-3)
        assert images["a"] == pytest.approx(h @ halves["a"], rel=1e-3, abs=1e-3)
        assert images["d"] == 0


def test_the_policy_re_orders_answers_and_records_its_propensities(monkeypatch):
    monkeypatch.setenv("NEXTCLICK_POLICY", "epsilon-greedy")
    shop = Shop(policy_of(load(ServerSettings)))
    shop.apply(record("v", ["i4"]))
    explored = 0
    for _ in range(60):
        answer, (impression, _) = shop.recommend(session_id="v", page_size=8)
        order = [item.item_id for item in answer.items]
        assert len(set(order)) == 8
        assert list(impression.item_ids) == order
        assert impression.policy == "epsilon-greedy"
        left = ranked(shop, "v")
        explored += order != left[:8]
        for item, propensity in zip(order, impression.propensities, strict=True):
            greedy = (1 - EPSILON) * (item == left[0])
            assert propensity == pytest.approx(greedy + EPSILON / len(left))
            left.remove(item)
    assert 10 < explored < 55  # of 60; half of them are expected
    engine, asked = shop.engine, SimpleNamespace(number=7, size=8)
    twice = [engine.policy.order(np.arange(50), None, asked, None) for _ in range(2)]
    assert twice[0].places.tolist() == twice[1].places.tolist()


def ranked(shop, session_id):
    """What the policy was given: the 50 best items, as the models rank them."""
    engine, policy = shop.engine, shop.engine.policy
    engine.policy = None
    number = shop.replica.sessions.get(session_id).number
    rows = engine.recommend(engine.session_rows(number), policy.depth, number).rows
    engine.policy = policy
    return [engine.ids[row] for row in rows]


def test_the_ranking_is_scored_in_the_shadow():
    shop = Shop(shadow_sample=1)
    engine, rng = shop.engine, np.random.default_rng(1)
    vectors = {f"i{i}": rng.normal(size=(2, 64)).astype(np.float32) for i in range(22)}
    for item, (context, target) in vectors.items():
        engine.put_item(item)
        engine.put_vectors(item, context, target)
    shop.apply(record("v", ["i4"]))
    _, (impression, key) = shop.recommend(session_id="v", page_size=20)
    assert impression.model == "blend"
    [shadow] = [other for other in impression.shadows if other.model == "vectors-alone"]
    products = {item: float(vectors["i4"][0] @ vectors[item][1]) for item in shadow.item_ids}
    assert list(shadow.item_ids) == sorted(products, key=lambda item: -products[item])
    assert shadow.scores == pytest.approx([products[item] for item in shadow.item_ids], rel=1e-3)
    assert list(shadow.item_ids) != list(impression.item_ids)

    task = ScoreTask(TaskOptions())
    next_item = shadow.item_ids[1]
    for value, topic in (
        (impression, "impressions"),
        (record("v", ["i4", next_item]), "sessions"),
    ):
        raw = RawRecord(value.SerializeToString(), key.encode(), topic, 0, 0, 9)
        task.apply(raw)
    scores = {s.model: s for s in (Score.FromString(o.value) for o in task.publish(10_000))}
    assert set(scores) >= {"blend", "vectors-alone"}
    assert scores["vectors-alone"].cases == scores["vectors-alone"].shadow_cases == 1
    [at_20] = [at for at in scores["vectors-alone"].windows[0].at if at.k == 20]
    assert (at_20.hit_rate, at_20.mrr) == (1.0, 0.5)
