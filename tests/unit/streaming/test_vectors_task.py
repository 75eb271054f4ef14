"""The task that learns item vectors: what is published, and what of a session is new."""

import struct

import numpy as np

from nextclick import Item, encode_item
from nextclick.v1 import learning_pb2 as pb
from nextclick.v1.session_pb2 import SessionRecord
from tests.unit.streaming.flink_host import Host
from tests.unit.streaming.learners_under_test import (
    click_records,
    far_off,
    life_records,
    raw,
    session_record,
    vectors_task,
)


def test_published_vectors_are_as_near_as_unpublished_moves_may_leave_them():
    """Replicas answer with what is published: what moves on must be published again."""
    host, published = Host(vectors_task), {}
    for i, record in enumerate(click_records(3_000), 1):
        host.feed(record)
        if i % 50 == 0:
            out = host.publish()
            published |= {key: value for (name, key), value in out.items() if name == "vectors"}
            assert not far_off(published, host.operator._task)


def test_a_version_that_stays_has_all_published(monkeypatch):
    """Who compares answers of before and after must know when there is nothing more to come."""
    monkeypatch.setattr("streaming.tasks.vectors.MOST_PUBLISHED", 10)
    host = Host(vectors_task)
    for n in range(35):
        host.feed(click(f"s{n}", f"i{n}"))
    rounds = [host.publish() for _ in range(6)]
    vectors = [sum(name == "vectors" for name, _ in out) for out in rounds]
    assert vectors == [10, 10, 10, 5, 0, 0]
    assert [("ranker", "vectors") in out for out in rounds] == [*4 * [True], False, False]


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
    host.restart()
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
            host.restart()
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
        host.restart()
        for n in range(200):
            host.feed(session_record(f"s{n}", 3))
        host.publish()
        assert host.operator._task.learned == 200 * 3
        assert not host.states["seen"].held
        assert not host.states["notes"].held
