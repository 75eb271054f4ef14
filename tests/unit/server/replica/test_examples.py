"""Examples: taken before the click is learned, like those of serving, at the learners' pace."""

import zlib

import numpy as np
import pytest
from prometheus_client import REGISTRY

from nextclick import Item, encode_item
from nextclick.limits import MAX_LEARNER_LATE_MS, SAMPLED_SHARE
from nextclick.v1 import learning_pb2 as pb
from nextclick.v1.session_pb2 import SessionRecord
from online_models.engine import Engine, Past
from online_models.learners.ranker import RankerLearner
from online_models.learners.vectors import VectorLearner
from online_models.memory.layout import Limits
from online_models.ranking.features.registry import N_FEATURES, NAMES
from records import example as example_records
from records import item_vectors, ranker_weights
from records.errors import RecordError
from records.session_life import Applied
from records.session_sample import number_of
from server.replica.examples import (
    PATIENCE_S,
    PAUSE_BEHIND,
    RESUME_BEHIND,
    ExampleEmitter,
    Pace,
    draw,
)
from server.replica.replica import Replica, Role
from settings.server import ServerSettings

INCARNATION = 1_400_000_000_000
LIMITS = Limits(max_items=256, max_sessions=2_048, pairs=256)
FAMILIES = [
    NAMES.index(name)
    for name in (
        *("knn_place", "root_seq", "log_popularity", "own", "vector_session", "log_trend"),
        *("session_log_length", "log_gap", "hour_sine", "category_share", "category_last"),
        *("content_last", "raw_seq2", "raw_cov2"),
    )
]


OF_THE_PAST = [
    NAMES.index(name)
    for name in (
        *("past_seen", "past_bought", "past_liked", "past_log_days", "past_recency", "past_visit"),
        *("past_opened", "past_in_visit", "past_next", "past_repeats", "past_categories"),
        *("past_vector", "past_seq", "past_cov"),
    )
]


def past_of(engine):
    """What a session's user had done before it: for every other session, some items."""

    def tell(record, _=None):
        number = int(record.session_id.split("-")[1])
        if number % 2:
            return None
        rng = np.random.default_rng(number)
        items = rng.choice(30, 12, replace=False).tolist()
        times_s = record.steps[0].timestamp_ms // 1_000 - np.sort(rng.integers(1, 20_000, 12))[::-1]
        rows = np.array(engine.rows_of([f"i{i}" for i in items]), np.int32)
        return Past(rows, times_s, rng.integers(0, 4, 12).astype(np.uint8), 0.25)

    return tell


class FakeProducer:
    def __init__(self):
        self.values = []

    def produce(self, topic, value, key):
        self.values.append((topic, key, pb.Example.FromString(value)))

    def poll(self, _):
        pass

    def __len__(self):
        return len(self.values)


@pytest.fixture
def emitter(monkeypatch):
    """A replica that emits an example of every click."""
    monkeypatch.setattr("online_models.engine.engine.LEARN_FROM_CLICK", 0)
    replica = Replica(Engine(LIMITS, sample=0, remote=True), Role.EMITTER)
    examples = ExampleEmitter(replica, ServerSettings(sample=1))
    examples._producer = FakeProducer()
    return replica, examples


def play(replica, n, seed=3, before=lambda record: None):
    """Sessions of four clicks on 30 items that follow one another."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        record = SessionRecord(session_id=f"s{seed}-{i}", incarnation=INCARNATION)
        at = int(rng.integers(30))
        for seq in range(1, 5):
            record.version = seq
            time_ms = 1_400_000_000_000 + 60_000_000 * i + 9_000 * seq * seq
            record.appended_ms = INCARNATION + seq
            record.steps.add(
                item_id=f"i{at % 30}",
                seq=seq,
                timestamp_ms=time_ms,
                appended_ms=record.appended_ms,
            )
            before(record)
            replica.apply_session(b"", record.SerializeToString())
            at += int(rng.integers(1, 4))


def fill_catalogue(replica):
    """Items in three categories, with a word each in their titles."""
    for i in range(30):
        item = Item(f"i{i}", categories=(f"c{i % 3}",), title=f"thing {i % 5}0")
        replica.apply_item(item.item_id.encode(), encode_item(item))


def learn_remotely(replica, clicks=700, examples=None):
    """Vectors and a ranker as the jobs would publish them."""
    vectors, ranker = VectorLearner(256), RankerLearner()
    rng = np.random.default_rng(0)
    for _ in range(clicks):
        a = int(rng.integers(30))
        vectors.learn(-1, [f"i{a}"], f"i{(a + 1) % 30}")
        features = rng.normal(size=(N_FEATURES, 8)).astype(np.float32)
        ranker.learn(features, int(np.argmax(features[4])))
    for item_id, (context, target) in vectors.to_publish(256):
        value = item_vectors.encode(item_vectors.ItemVectors(context, target, version=1))
        replica.apply_vectors(item_id.encode(), value)
    if examples is not None:
        examples.keep_pace()
    weights = ranker.weights()
    state = pb.LearnerState(version=1, learned=weights.steps, applied=clicks)
    replica.apply_learner(b"ranker", ranker_weights.encode(state, weights))


def counted(name):
    return REGISTRY.get_sample_value(f"nextclick_{name}_total")


def test_examples_that_kafka_does_not_take_are_counted_apart(emitter):
    """A ranker that learns little may have been sent little."""
    replica, examples = emitter
    sent, dropped = counted("examples"), counted("examples_dropped")
    play(replica, 5)
    taken = len(examples._producer.values)
    assert taken > 0
    assert counted("examples") - sent == examples.emitted == taken
    examples.keep_pace()
    queue = {"producer": "examples"}
    assert REGISTRY.get_sample_value("nextclick_producer_queue_records", queue) == taken

    refused = []

    def full(*_):
        refused.append(1)
        raise BufferError

    examples._producer.produce = full
    play(replica, 5, seed=4)
    assert counted("examples_dropped") - dropped == len(refused) > 0
    assert counted("examples") - sent == examples.emitted == taken


@pytest.mark.parametrize("known", [False, True])
def test_an_example_is_what_serving_sees(emitter, known):
    """Live answers, bootstrap and evaluation must compute the same bytes, or the ranker
    learns of features that it never meets. Of known users, first pages are examples, too."""
    replica, examples = emitter
    examples._past_of = past_of(replica.engine) if known else lambda record, click: None
    fill_catalogue(replica)
    play(replica, 600)
    learn_remotely(replica, examples=examples)
    served = Replica(Engine(LIMITS, sample=0, remote=True))
    fill_catalogue(served)
    play(served, 600)
    learn_remotely(served)
    examples._producer.values.clear()
    expected, first_pages = [], []

    def ask(record):
        """Answer, as a server does, for the session before its next click."""
        engine, entry = served.engine, served.sessions.get(record.session_id)
        number = -1 if entry is None else entry.number
        rows = engine.session_rows(number).tolist()
        past = past_of(engine)(record) if known else None
        if not rows and past is None:
            return
        target = engine.row(record.steps[-1].item_id)
        engine.recommend(rows, 20, number, past=past)
        places = engine.arrays["candidates"][: int(engine.arrays["found"]["candidates"][0])]
        ids = [engine.ids[row] for row in engine.arrays["pool"][places].tolist()]
        place = ids.index(engine.ids[target]) + 1 if engine.ids[target] in ids else 0
        if not rows and not place:
            return  # a first page that leads nowhere teaches nothing
        first_pages.append(not rows)
        features = engine.arrays["features"][:N_FEATURES, : len(ids)].astype("<f2").tobytes()
        expected.append((place, features if place else b""))

    def both(record):
        ask(record)
        served.apply_session(b"", record.SerializeToString())

    play(replica, 40, seed=9, before=both)
    got = [(e.target, halves(e).astype("<f2").tobytes()) for _, _, e in examples._producer.values]
    assert len(got) == 3 * 40 + sum(first_pages)
    assert bool(sum(first_pages)) == known
    assert sum(1 for place, _ in got if place) > 60
    assert got == expected
    varied = np.concatenate([halves(e) for _, _, e in examples._producer.values if e.target], 1)
    assert (np.ptp(varied[FAMILIES], axis=1) > 0).all(), "no family of features lay idle"
    assert (np.ptp(varied[OF_THE_PAST], axis=1) > 0).all() == known
    assert known or not varied[OF_THE_PAST].any()


def halves(example):
    return example_records.decode(example).features


def test_examples_name_their_click(emitter):
    """Count and checksum of the job are compared with these names."""
    replica, examples = emitter
    play(replica, 30)
    names = [(e.session_id, e.seq) for _, _, e in examples._producer.values]
    assert {(e.incarnation, e.appended_ms - e.seq) for _, _, e in examples._producer.values} == {
        (INCARNATION, INCARNATION)
    }
    assert len(names) == len(set(names)) == examples.emitted
    assert {seq for _, seq in names} == {2, 3, 4}
    assert all(key == e.session_id for _, key, e in examples._producer.values)


def test_a_repeated_record_makes_no_second_example(emitter):
    """The sessions job writes some records twice after a failure."""
    replica, examples = emitter
    play(replica, 30)
    emitted = examples.emitted
    play(replica, 30)
    assert examples.emitted == emitted


def test_the_sample_is_kept_to():
    """Learning costs by the example."""
    replica = Replica(Engine(LIMITS, sample=0, remote=True), Role.EMITTER)
    examples = ExampleEmitter(replica, ServerSettings(sample=4))
    examples._producer = FakeProducer()
    play(replica, 1_500)
    eligible = 3 * 1_500 - 2_000 * 3 / 4
    assert 0.8 * eligible / 4 < examples.emitted < 1.2 * eligible / 4


def taken(late=False):
    """The clicks of 1,500 sessions that an emitter takes which samples one in two; the emitter."""
    replica = Replica(Engine(LIMITS, sample=0, remote=True), Role.EMITTER)
    examples = ExampleEmitter(replica, ServerSettings(sample=2))
    examples._producer = FakeProducer()
    if late:
        replica.click_lag_ms = MAX_LEARNER_LATE_MS + 1
        examples.sessions.adapt(0, 0)
        examples.keep_pace()
    play(replica, 1_500)
    return {(e.session_id, e.seq) for _, _, e in examples._producer.values}, examples


def test_all_emitters_take_the_same_clicks():
    """With a second one, or after a crash, other clicks would be learned from in addition."""
    once, _ = taken()
    assert once == taken()[0]
    assert draw("s", Applied(1, 2)) != draw("s", Applied(2, 2)), "another life, another draw"


def test_examples_that_were_learned_before_do_not_hold_the_log_back(emitter):
    """After a crash the ranker passes over them: it has read them, and has nothing to learn."""
    replica, examples = emitter
    examples.emitted = PAUSE_BEHIND + 701
    state = pb.LearnerState(applied=700)
    replica.apply_learner(b"ranker", state.SerializeToString())
    assert examples.keep_pace()
    assert REGISTRY.get_sample_value("nextclick_emitter_paused") == 1
    state.repetitions = PAUSE_BEHIND
    replica.apply_learner(b"ranker", state.SerializeToString())
    assert not examples.keep_pace()
    assert REGISTRY.get_sample_value("nextclick_emitter_paused") == 0


def test_a_learner_that_falls_behind_is_waited_for_until_it_stands_still():
    """A bootstrap must not run away from the vectors; a dead learner must not stop the log."""
    pace = Pace()
    assert pace.behind(0, 0, 100.0) == 0
    assert pace.behind(PAUSE_BEHIND, 1, 101.0) == PAUSE_BEHIND
    assert pace.behind(RESUME_BEHIND + 1, 1_000, 102.0) == RESUME_BEHIND + 1
    assert pace.behind(3 * PAUSE_BEHIND, 1_000, 102.0 + PATIENCE_S + 1) == 0
    assert pace.behind(3 * PAUSE_BEHIND + 4, 1_001, 114.0) == 4


def test_a_learner_that_is_ahead_is_not_waited_for(emitter):
    """Of one far ahead, each 1,500 clicks that the emitter gained cost 10 s."""
    replica, examples = emitter
    state = pb.LearnerState(applied=900_000, offsets=[500_000, 400_000])
    for position in range(0, 500_000, 10_000):
        replica.positions["sessions", 0] = position
        replica.apply_learner(b"vectors", state.SerializeToString())
        assert not examples.keep_pace()
    replica.positions["sessions", 0] = 500_000 + PAUSE_BEHIND + 1
    assert examples.keep_pace()
    state.offsets[0] += PAUSE_BEHIND - RESUME_BEHIND + 1
    state.applied += 1
    replica.apply_learner(b"vectors", state.SerializeToString())
    assert not examples.keep_pace()


def test_a_partition_that_the_learner_never_reads_is_not_waited_for(emitter, monkeypatch):
    """Retention had emptied three of four: the emitter waited while the fourth was learned."""
    replica, examples = emitter
    clock = [1_000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    replica.positions |= {("sessions", p): 5_000_000 for p in range(4)}
    state = pb.LearnerState(offsets=[0, 0, 0, 5_000_000])
    for _ in range(100):
        clock[0] += PATIENCE_S / 20
        state.applied += 1
        state.offsets[3] += 1
        replica.positions["sessions", 3] += 1
        replica.apply_learner(b"vectors", state.SerializeToString())
        assert not examples.keep_pace()
    replica.positions["sessions", 3] += PAUSE_BEHIND + 1
    assert examples.keep_pace()


def test_partitions_of_which_the_learner_says_nothing_yet_are_waited_for(emitter):
    """A learner names the partitions up to the last one that it has read."""
    replica, examples = emitter
    replica.positions |= {("sessions", 0): 1, ("sessions", 1): 0}
    replica.apply_learner(b"vectors", pb.LearnerState(offsets=[1]).SerializeToString())
    assert not examples.keep_pace()
    replica.positions["sessions", 1] = PAUSE_BEHIND + 1
    assert not examples.keep_pace(), "it has never made progress there"
    replica.apply_learner(b"vectors", pb.LearnerState(offsets=[1, 1]).SerializeToString())
    replica.positions["sessions", 1] += PAUSE_BEHIND + 2
    assert examples.keep_pace()


def test_a_late_emitter_takes_a_sample_of_sessions_and_counts_the_others():
    """Beyond what the learners can do, fewer examples are better than old ones."""
    all_clicks, _ = taken()
    clicks, emitter = taken(late=True)
    assert clicks < all_clicks
    sessions = {session_id for session_id, _ in clicks}
    assert clicks == {click for click in all_clicks if click[0] in sessions}, "whole sessions"
    assert sessions == {s for s, _ in all_clicks if number_of(s, INCARNATION) < SAMPLED_SHARE}
    said = emitter.describe()
    assert said["sampling"]
    assert said["emitted"] == len(clicks)
    sampled = [
        (f"s3-{n}", seq)
        for n in range(1_500)
        for seq in (2, 3, 4)
        if draw(f"s3-{n}", Applied(INCARNATION, seq)) < 0.5
        and number_of(f"s3-{n}", INCARNATION) >= SAMPLED_SHARE
    ]
    assert said["passed_over"] == len(sampled)
    crc = sum(zlib.crc32(f"{session_id}#{seq}".encode()) for session_id, seq in sampled)
    assert said["passed_over_checksum"] == crc % 2**64


def test_an_emitter_in_time_takes_all_sessions_again(emitter, monkeypatch):
    """A rush hour must not cost the examples of the day."""
    replica, examples = emitter
    clock = [1_000.0]
    monkeypatch.setattr("time.time_ns", lambda: int(clock[0] * 1e9))
    for lag_ms, sampling in ((0, False), (300_000, True), (20_000, True), (0, False)):
        clock[0] += 100
        replica.click_lag_ms = lag_ms
        examples.keep_pace()
        assert examples.describe()["sampling"] == sampling


def test_a_ranker_of_other_features_is_not_taken(emitter):
    """Weights read under another schema would rank at random: the blend answers, and says so."""
    replica, _ = emitter
    learn_remotely(replica)
    steps = replica.engine.examples
    assert steps
    state = pb.LearnerState(learned=7)
    state.weights.feature_schema = "other"
    replica.apply_learner(b"ranker", state.SerializeToString())
    assert not replica.ranker_fits
    assert replica.engine.examples == steps


@pytest.mark.parametrize("value", [b"\xff\xff", b"", b"\x12\x03abc"])
def test_torn_records_of_learners_change_nothing(emitter, value):
    """Compacted topics live for years, through every bug of a producer."""
    replica, _ = emitter
    with pytest.raises(RecordError):
        replica.apply_vectors(b"i1", value)
    assert replica.engine.with_vectors == 0
    with pytest.raises(RecordError):
        replica.apply_learner(b"ranker", b"\xff\xff")
    assert "ranker" not in replica.learners


def test_vectors_of_a_deleted_item_go(emitter):
    """A tombstone on `vectors` frees what similarity would still find."""
    replica, examples = emitter
    for i in range(30):
        replica.engine.put_item(f"i{i}")
    learn_remotely(replica, examples=examples)
    before = replica.engine.with_vectors
    replica.apply_vectors(b"i3", None)
    replica.apply_vectors(b"never seen", None)
    assert replica.engine.with_vectors == before - 1
    row = replica.engine.row("i3")
    assert not replica.engine.arrays["target_vectors"][row].any()


def test_vectors_wait_for_the_clicks_that_they_have_seen(emitter):
    """Vectors that know the click that a case asks for would teach the ranker to trust them
    as it never can when answering: it cost 2 points of MRR in a bootstrap."""
    replica, examples = emitter
    half = np.ones(64, "<f2").tobytes()
    for item_id, offsets in (("a", [3, 0]), ("b", [3, 2]), ("c", [])):
        replica.engine.put_item(item_id)
        record = pb.ItemVectors(version=1, context=half, target=half, offsets=offsets)
        replica.apply_vectors(item_id.encode(), record.SerializeToString())
    replica.positions = {("sessions", 0): 2, ("sessions", 1): 9}
    examples.keep_pace()
    assert replica.engine.with_vectors == 0
    replica.positions["sessions", 0] = 3
    replica.positions["sessions", 1] = 1
    examples.keep_pace()
    assert replica.engine.with_vectors == 1
    replica.positions["sessions", 1] = 2
    examples.keep_pace()
    assert replica.engine.with_vectors == 3
