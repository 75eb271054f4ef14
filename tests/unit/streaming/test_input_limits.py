"""What a task reads has the limits that docs/operating.md names; what breaks them is counted."""

import pytest

from nextclick import Item, encode_item
from nextclick.limits import MAX_ID_BYTES, MAX_KEY_BYTES, SESSION_STEPS
from nextclick.topics import (
    COMMANDS,
    EXAMPLES,
    IMPRESSIONS,
    ITEMS,
    RANKER_MODEL,
    SESSIONS,
    TOPICS,
    VECTORS_MODEL,
)
from nextclick.v1 import learning_pb2 as pb
from nextclick.v1.session_pb2 import SessionRecord, Step
from records.refused import INVALID, TOO_LARGE, RefusedRecords
from streaming.jobs.registry import JOBS, REFUSED
from streaming.raw_record import RawRecord
from streaming.tasks.checked import apply_checked
from streaming.tasks.ranker import RankerTask
from streaming.tasks.score import ScoreTask
from streaming.tasks.task import TaskOptions
from streaming.tasks.vectors import VectorsTask
from tests.unit.streaming.flink_host import Host
from tests.unit.streaming.learners_under_test import example_records
from tests.unit.streaming.scored_records import answer, clicks

TORN = b"\xff\xff"
LONGER = "x" * (MAX_ID_BYTES + 1)
FOLLOWING = SessionRecord(session_id="s", version=1, steps=[Step(item_id="a", seq=1)])
FOLLOWING.steps[0].recommendation_id = LONGER
PAUSE = pb.LearnerCommand(kind=pb.LearnerCommand.KIND_PAUSE).SerializeToString()

READ = {
    (VectorsTask, SESSIONS): (
        clicks("s", ["a", "b"])[:2],
        [TORN, FOLLOWING, clicks("s", ["a"] * (SESSION_STEPS + 1)).value],
    ),
    (VectorsTask, ITEMS): ((encode_item(Item("a")), b"a"), [TORN, b'{"v": 1}']),
    (VectorsTask, COMMANDS): ((PAUSE, VECTORS_MODEL.encode()), [TORN]),
    (RankerTask, EXAMPLES): (
        example_records(1)[0][:2],
        [TORN, pb.Example(session_id="s", seq=1, incarnation=-1)],
    ),
    (RankerTask, COMMANDS): ((PAUSE, RANKER_MODEL.encode()), [TORN]),
    (ScoreTask, IMPRESSIONS): (
        answer("s", 0, ["a"])[:2],
        [TORN, answer("s", 0, [LONGER]).value, answer("s", 0, ["a"], appended=[LONGER]).value],
    ),
    (ScoreTask, SESSIONS): (clicks("s", ["a"])[:2], [TORN, FOLLOWING]),
}
"""By task and topic: a value with its key that is applied, and values that are not."""


def test_every_topic_of_every_task_is_here():
    """A topic that is added would be read without limits, or without a word of what is dropped."""
    parts = {part for job in JOBS.values() for part in job.parts if part.hosts.endswith("Task")}
    assert {(task.__name__, name) for task, name in READ} == {
        (part.hosts.split(":")[1], name) for part in parts for name in part.topics
    }


def padded(value, name):
    """A value that is larger than its topic's may be, but otherwise as usable as before."""
    most = TOPICS[name].max_value_bytes
    if name == ITEMS:
        return value + b" " * most
    return value + b"\xf8\x07\x00" * (most // 3)  # fields of a number that no message has


def left_by(task, records):
    """What a task stores after these records, and the host that has fed it."""
    host = Host(lambda: task(TaskOptions(max_items=16)))
    for record in records:
        host.feed(record)
    host.publish()
    return host.states["meta"].held[1], host.states["rows"].held, host


@pytest.mark.parametrize(
    ("task", "name"), READ, ids=lambda value: getattr(value, "__name__", value)
)
def test_what_breaks_a_limit_is_counted_said_and_passed_over(task, name, caplog):
    """It was dropped without a word, and the ranker counted it as applied."""
    (value, key), poison = READ[task, name]
    poison = [p if isinstance(p, bytes) else p.SerializeToString() for p in poison]
    records = [(p, key, INVALID) for p in poison]
    records.append((padded(value, name), key, TOO_LARGE))
    records.append((value, b"k" * (MAX_KEY_BYTES + 1), TOO_LARGE))
    for value_, key_, reason in records:
        caplog.clear()
        usable = RawRecord(value, key, name, 3, 7, 0)
        meta, rows, host = left_by(task, [RawRecord(value_, key_, name, 3, 6, 0), usable])
        assert (meta, rows) == left_by(task, [usable])[:2]
        assert (meta, rows) != left_by(task, [RawRecord(b"", b"", COMMANDS, 3, 7, 0)])[:2]
        assert host.counters[REFUSED].count == 1
        [line] = [r.getMessage() for r in caplog.records if "passing over" in r.getMessage()]
        assert f"{name}-3 at 6: {reason}: " in line


def test_the_limits_are_those_of_the_tenants_topics():
    """Topics of a tenant have a prefix, and are named with it."""
    refused = RefusedRecords(lambda _: None)
    task = ScoreTask(TaskOptions("shop"))
    large = padded(answer("s", 0, ["a"]).value, IMPRESSIONS)
    apply_checked(task, RawRecord(large, b"s", "shop.impressions", 1, 2, 0), refused, "shop")
    [record] = refused.latest
    assert record[:4] == ("shop.impressions", 1, 2, TOO_LARGE)


def test_tombstones_of_items_and_sessions_are_not_refused():
    """They say that an item or a visitor is gone; the counter would hide what is wrong."""
    for task, names in ((VectorsTask, (ITEMS, SESSIONS)), (ScoreTask, (SESSIONS,))):
        *_, host = left_by(task, [RawRecord(b"", b"s", name, 0, 0, 0) for name in names])
        assert host.counters[REFUSED].count == 0
