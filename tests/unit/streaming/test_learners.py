"""The learners of the stream: every record once, bit for bit, whatever dies in between."""

import copy
import struct
import zlib

import numpy as np
import pytest

from nextclick import Item, encode_item
from nextclick.v1 import learning_pb2 as pb
from nextclick.v1.session_pb2 import SessionRecord
from online_models.learners.publication import PUBLISH_SHARE
from online_models.ranking.features.registry import N_FEATURES, SCHEMA
from online_models.tables.content_tokens import item_tokens
from streaming.jobs.task_operator import BATCH, PUBLISH_MS, TaskOperator
from streaming.raw_record import RawRecord
from streaming.tasks.ranker import KEPT_VERSIONS, RankerTask
from streaming.tasks.task import TaskOptions, pack_meta, unpack_meta
from streaming.tasks.vectors import VectorsTask

MOST_OFF = PUBLISH_SHARE + float(np.finfo(np.float16).eps)
"""Share of their length by which published vectors may be off: they are published from a move of
`PUBLISH_SHARE` on, as halves."""


class Value:
    def __init__(self):
        self.held = None

    def value(self):
        return self.held

    def update(self, value):
        self.held = value


class Map:
    def __init__(self):
        self.held = {}

    def get(self, key):
        return self.held.get(key)

    def put(self, key, value):
        self.held[key] = value

    def put_all(self, values):
        self.held.update(values)

    def remove(self, key):
        self.held.pop(key, None)

    def items(self):
        return list(self.held.items())

    def values(self):
        return list(self.held.values())

    def clear(self):
        self.held.clear()


class Host:
    """Flink's part: states by name, a timer service whose clock is set by hand."""

    def __init__(self, make):
        self.states = {}
        self.timers = set()
        self.now = 0
        self.make = make
        self.start()

    def start(self):
        """A new operator over the states that there are."""
        self.operator = TaskOperator(self.make, "")
        self.operator.open(self)

    def get_state(self, descriptor):
        return self.states.setdefault(descriptor.name, Value())

    def get_map_state(self, descriptor):
        return self.states.setdefault(descriptor.name, Map())

    def timer_service(self):
        return self

    def register_processing_time_timer(self, timestamp):
        self.timers.add(timestamp)

    def current_processing_time(self):
        return self.now

    def feed(self, record):
        assert not list(self.operator.process_element(tuple(record), self))

    def publish(self):
        """Let the timers fire that are due next; what is published, by topic and key."""
        if not self.timers:
            list(self.operator.on_timer(0, self))
        due, self.timers = self.timers, set()
        rows = [row for timer in sorted(due) for row in self.operator.on_timer(timer, self)]
        return {(row[0], row[1].decode()): row[2] for row in rows}


def raw(topic, value, key=b"k"):
    return RawRecord(value, key, topic, 0, 0, 0, False)


def click_records(n, items=40):
    """Sessions of up to 9 clicks, their records interleaved and some of them skipped."""
    rng = np.random.default_rng(5)
    out, open_sessions = [], {}
    for i in range(n):
        name = f"s{rng.integers(i // 6, i // 6 + 8)}"
        record = open_sessions.setdefault(name, SessionRecord(session_id=name))
        if len(record.steps) == 9:
            continue
        record.version += 1
        item_id = f"i{int(rng.zipf(1.4)) % items}"
        record.steps.add(item_id=item_id, seq=record.version)
        if rng.random() > 0.1:
            out.append(raw("sessions", record.SerializeToString()))
    return out


def example_records(n):
    """Cases of 12 candidates whose target has the largest third feature; some are missed."""
    rng = np.random.default_rng(6)
    out = []
    for i in range(n):
        features = rng.normal(size=(N_FEATURES, 12)).astype("<f2")
        missed = i % 7 == 3
        example = pb.Example(
            feature_schema=SCHEMA,
            session_id=f"s{i}",
            seq=2,
            item_ids=[] if missed else [f"c{j}" for j in range(12)],
            features=b"" if missed else features.tobytes(),
            target=0 if missed else 1 + int(np.argmax(features[2])),
        )
        out.append(raw("examples", example.SerializeToString()))
    return out


def vectors_task():
    return VectorsTask(TaskOptions(max_items=256))


def ranker_task():
    return RankerTask(TaskOptions())


CASES = {
    "vectors": (vectors_task, click_records, "rows"),
    "ranker": (ranker_task, example_records, "meta"),
}


def learned(host):
    """All that is stored, less the publication counters."""
    host.publish()
    task = host.operator._task
    return {
        name: task._learner.arrays[name].tobytes()
        for name in (
            "context_vectors",
            "target_vectors",
            "token_vectors",
            "network",
            "feature_mean",
            "blend_weights",
        )
    } | {"applied": task.progress.applied, "checksum": task.progress.checksum}


@pytest.mark.parametrize("model", CASES)
def test_a_crash_anywhere_changes_nothing(model):
    """The promise of the stream: exactly once, and equal to the bit."""
    make, records_of, _ = CASES[model]
    records = records_of(400)
    rng = np.random.default_rng(7)
    calm = Host(make)
    for record in records:
        calm.feed(record)
    shaken = Host(make)
    checkpoint, position, i = None, 0, 0
    crashes = 0
    while i < len(records):
        shaken.feed(records[i])
        i += 1
        if rng.random() < 0.05:
            checkpoint, position = copy.deepcopy(shaken.states), i
        if rng.random() < 0.05:
            shaken.publish()
        if rng.random() < 0.02 and checkpoint:
            shaken.states, i = copy.deepcopy(checkpoint), position
            shaken.start()
            crashes += 1
    assert crashes
    assert learned(shaken) == learned(calm)


def test_what_waits_is_in_the_state():
    """A mini-batch in memory alone would be lost with the process."""
    host = Host(ranker_task)
    records = example_records(BATCH + 3)
    for record in records:
        host.feed(record)
    host.start()
    host.publish()
    assert host.operator._task.progress.applied == BATCH + 3


@pytest.mark.parametrize("model", CASES)
def test_the_audit_counts_every_record_once(model):
    """Count and checksum are what operators compare the input with."""
    make, records_of, _ = CASES[model]
    host = Host(make)
    names = set()
    for record in records_of(200):
        host.feed(record)
        if model == "ranker":
            host.feed(raw("commands", b"\xff\xff", b"ranker"))
            example = pb.Example.FromString(record.value)
            names.add(f"{example.session_id}#{example.seq}")
        else:
            host.feed(record)  # repeated
            session = SessionRecord.FromString(record.value)
            names |= {f"{session.session_id}#{step.seq}" for step in session.steps}
    state = pb.LearnerState.FromString(host.publish()["ranker", model])
    assert state.applied == len(names)
    assert state.checksum == sum(zlib.crc32(name.encode()) for name in names) % 2**64


def far_off(published, task):
    """Items whose vectors are published too far from those of a task, or not, or without reason."""
    learner = task._learner
    far = [*(published.keys() ^ learner.rows.keys())]
    for item_id in published.keys() & learner.rows.keys():
        record = pb.ItemVectors.FromString(published[item_id])
        found = np.frombuffer(record.context + record.target, "<f2").astype(np.float32)
        row = learner.rows[item_id]
        tables = (learner.arrays["context_vectors"], learner.arrays["target_vectors"])
        exact = np.concatenate([table[row] for table in tables])
        if np.linalg.norm(found - exact) > MOST_OFF * np.linalg.norm(exact):
            far.append(item_id)
    return far


def test_published_vectors_are_as_near_as_unpublished_moves_may_leave_them():
    """Replicas answer with what is published: what moves on must be published again."""
    host, published = Host(vectors_task), {}
    for i, record in enumerate(click_records(3_000), 1):
        host.feed(record)
        if i % 50 == 0:
            out = host.publish()
            published |= {key: value for (name, key), value in out.items() if name == "vectors"}
            assert not far_off(published, host.operator._task)


def command(kind, version=0):
    value = pb.LearnerCommand(kind=kind, version=version).SerializeToString()
    return raw("commands", value, b"ranker")


def test_pause_resume_and_roll_back():
    """Operators stop a learner that is fed rubbish, and take it back to before."""
    host = Host(ranker_task)
    for record in example_records(600):
        host.feed(record)
    state = pb.LearnerState.FromString(host.publish()["ranker", "ranker"])
    assert len(state.kept_versions) > 3
    host.feed(command(pb.LearnerCommand.KIND_PAUSE))
    for record in example_records(50):
        host.feed(record)
    paused = pb.LearnerState.FromString(host.publish()["ranker", "ranker"])
    assert paused.paused
    assert paused.applied == state.applied + 50
    assert paused.weights.network == state.weights.network
    back_to = state.kept_versions[1]
    host.feed(command(pb.LearnerCommand.KIND_ROLL_BACK, back_to))
    host.feed(command(pb.LearnerCommand.KIND_RESUME))
    back = pb.LearnerState.FromString(host.publish()["ranker", "ranker"])
    assert back.rolled_back_to == back_to
    assert back.version > paused.version
    assert back.learned < state.learned
    for record in example_records(20):
        host.feed(record)
    again = pb.LearnerState.FromString(host.publish()["ranker", "ranker"])
    assert again.learned > back.learned


def test_kept_versions_survive_a_restart():
    """A roll-back is asked for when things go wrong, and then processes die too."""
    host = Host(ranker_task)
    for record in example_records(600):
        host.feed(record)
    host.publish()
    kept = list(host.operator._task._versions)
    host.start()
    host.publish()
    assert list(host.operator._task._versions) == kept
    assert len(kept) <= KEPT_VERSIONS


def test_unusable_examples_teach_nothing():
    """Another program's features would be read as ours; a torn record as noise."""
    host = Host(ranker_task)
    good = pb.Example.FromString(example_records(1)[0].value)
    other, torn = pb.Example(), pb.Example()
    other.CopyFrom(good)
    other.feature_schema = "00000000"
    torn.CopyFrom(good)
    torn.features = good.features[:-2]
    for example in (other, torn):
        host.feed(raw("examples", example.SerializeToString()))
    host.feed(raw("examples", b"\xff\xfe"))
    host.publish()
    assert host.operator._task.progress.applied == 3
    assert host.operator._task.learned == 0


def test_a_new_item_has_the_vectors_of_its_content():
    """A shop's new arrivals must be found before anybody has clicked them."""
    host = Host(vectors_task)
    kinds = {"a": ("red",), "b": ("blue",)}
    rng = np.random.default_rng(8)
    for kind, categories in kinds.items():
        for i in range(5):
            item = Item(f"{kind}{i}", categories=categories)
            host.feed(raw("items", encode_item(item)))
    for n in range(600):
        kind = "ab"[n % 2]
        record = SessionRecord(session_id=f"s{n}", version=4)
        for seq in range(1, 5):
            record.steps.add(item_id=f"{kind}{rng.integers(5)}", seq=seq)
        host.feed(raw("sessions", record.SerializeToString()))
    host.publish()
    host.publish()
    host.feed(raw("items", encode_item(Item("new", categories=("red",)))))
    out = host.publish()
    record = pb.ItemVectors.FromString(out["vectors", "new"])
    target = np.frombuffer(record.target, "<f2").astype(np.float32)
    arrays, rows = host.operator._task._learner.arrays, host.operator._task._learner.rows
    products = {name: float(arrays["context_vectors"][row] @ target) for name, row in rows.items()}
    assert min(products[f"a{i}"] for i in range(5)) > max(products[f"b{i}"] for i in range(5))


def test_a_deleted_item_leaves_a_tombstone():
    """Replicas forget its vectors; put again, it is published again."""
    host = Host(vectors_task)
    host.feed(raw("items", encode_item(Item("x", categories=("c",)))))
    assert host.publish()["vectors", "x"]
    host.feed(raw("items", encode_item(Item("x", deleted=True))))
    assert host.publish()["vectors", "x"] == b""
    host.start()
    assert ("vectors", "x") not in host.publish()
    host.feed(raw("items", encode_item(Item("x", categories=("c",)))))
    assert host.publish().get(("vectors", "x"))


def click(session, item_id):
    record = SessionRecord(session_id=session, version=1)
    record.steps.add(item_id=item_id, seq=1)
    return raw("sessions", record.SerializeToString())


def test_an_item_that_leaves_is_dropped_by_the_replicas_even_after_a_crash():
    """Its vectors would stay in the topic, and in every replica, for ever."""
    host, published = Host(vectors_task), {}
    for n in range(1_000):
        host.feed(click(f"s{n}", f"i{n}"))
        if n % 100 == 50:
            host.start()
        if n % 70 == 0:
            published |= host.publish()
    for _ in range(3):
        published |= host.publish()
    now = {key for (name, key), value in published.items() if name == "vectors" and value}
    learner = host.operator._task._learner
    assert len(learner.rows) <= 256
    assert now == set(learner.rows)
    assert {name[1:] for name in host.states["rows"].held if name[0] == "i"} == now
    assert not [name for name in host.states["rows"].held if name[0] == "g"]


def test_tokens_are_bounded_and_stable():
    """Numbers are in stored state: another hash tomorrow would mix contents up."""
    tokens = item_tokens(("red", "red"), {"size": "4", "brand": "x"}, "A red, RED shoe!")
    assert tokens == item_tokens(("red",), {"brand": "x", "size": "4"}, "a Red shoe")
    assert len(tokens) == 5
    assert item_tokens(("red",)) == [1 + zlib.crc32(b"c:red") % 65_535]
    assert len(item_tokens(title=" ".join(f"w{i}" for i in range(99)))) == 16


def life_records(incarnation, items):
    """The records of a life whose clicks arrived a millisecond apart."""
    session = SessionRecord(session_id="s", incarnation=incarnation)
    for seq, item in enumerate(items, 1):
        session.version = seq
        session.appended_ms = incarnation + seq - 1
        session.steps.add(item_id=item, seq=seq, appended_ms=session.appended_ms)
        yield raw("sessions", session.SerializeToString())


def test_a_session_that_returns_is_learned_as_a_new_one():
    """Its first clicks were ignored until their number passed that of the visit before."""
    task = vectors_task()
    for record in (*life_records(100, "abcdefgh"), *life_records(900, "xy")):
        task.apply(record)
    assert task.learned == 10
    assert task._learner.seen_sessions == 2
    for record in (*life_records(100, "abcdefghi"), *life_records(900, "xy")):
        task.apply(record)
    assert task.learned == 10


def test_clicks_that_are_sessionised_again_are_not_learned_again():
    """A job that had to start from nothing repeats the last week under new versions."""
    task = vectors_task()
    for record in (*life_records(100, "abcdefgh"), *life_records(103, "defghi")):
        task.apply(record)
    assert task.learned == 9
    assert task._learner.seen_sessions == 1


def test_timers_of_the_run_before_do_not_go_on():
    """Each restart added a chain of timers, until publishing took all the time."""
    host = Host(ranker_task)
    for record in example_records(3):
        host.feed(record)
        host.start()
        host.now += 20
    published = []
    for _ in range(4):
        host.now = max(host.timers) + 1
        host.feed(command(pb.LearnerCommand.KIND_PAUSE))
        published += host.publish()
        assert len(host.timers) == 1
    assert published == [("ranker", "ranker")] * 4


def test_missed_publications_are_not_caught_up_on():
    """After an hour down, 7,200 timers would fire one after another."""
    host = Host(ranker_task)
    host.feed(example_records(1)[0])
    host.now = 3_600_000
    host.publish()
    assert host.timers == {host.now + PUBLISH_MS}


def test_notes_of_the_versions_before_are_taken_over():
    """Without them, every session that is open would be learned again."""
    host = Host(vectors_task)
    for n in range(200):
        host.feed(session_record(f"s{n}", 2))
    host.publish()
    rows = host.states["rows"].held
    for name in [name for name in rows if name[0] == "n"]:
        del rows[name]
    host.states["notes"].held = {"b": (0, 1, 5), "q0": (5, ("s0",))} | {
        f"ns{n}": (5, struct.pack("<IiQQ", 2, n, 0, 0)) for n in range(100)
    }
    host.states["seen"].held = {f"s{n}": struct.pack("<Ii", 2, n) for n in range(100, 200)}
    for _ in range(2):
        host.start()
        for n in range(200):
            host.feed(session_record(f"s{n}", 3))
        host.publish()
        assert host.operator._task.learned == 200 * 3
        assert not host.states["seen"].held
        assert not host.states["notes"].held


def session_record(session_id, version):
    """The record of a session after so many clicks."""
    record = SessionRecord(session_id=session_id, version=version)
    for seq in range(1, version + 1):
        record.steps.add(item_id=f"i{seq}", seq=seq)
    return raw("sessions", record.SerializeToString())


def test_rows_of_other_features_are_dropped_and_said(caplog):
    """They stayed beside those of the new features, and no later restart could read them."""
    host = Host(ranker_task)
    for record in example_records(600):
        host.feed(record)
    host.publish()
    count, meta = host.states["meta"].held
    state, model = unpack_meta(meta)
    host.states["meta"].held = (count, pack_meta(state, b"other..." + model[8:]))
    for name, row in host.states["rows"].held.items():
        # A feature fewer; in versions, another schema.
        changed = row[:-24] if name[0] == "s" else row[:4] + b"other..." + row[12:]
        host.states["rows"].held[name] = changed
    host.start()
    for record in example_records(5):
        host.feed(record)
    host.publish()
    assert "begins to learn anew" in caplog.text
    task = host.operator._task
    assert task.learned == 5 - sum(i % 7 == 3 for i in range(5))
    assert set(host.states["rows"].held) == {f"s{n}" for n in range(task.learned)}
    expected = learned(host)
    host.start()
    assert learned(host) == expected


def test_a_state_that_mixes_features_is_read():
    """So the version before has left it after such a change."""
    host = Host(ranker_task)
    for record in example_records(30):
        host.feed(record)
    host.publish()
    rows = host.states["rows"].held
    rows |= {"s900": rows["s0"][:-24], "v7": b"\0" * 4 + b"other..." + b"\0" * 40}
    host.start()
    host.publish()
    assert host.operator._task.learned == 30 - sum(i % 7 == 3 for i in range(30))
    host.feed(example_records(1)[0])
    host.publish()
    assert not {"s900", "v7"} & set(rows)
