"""Answers and clicks for the score task, and what it makes of them."""

from nextclick.v1 import scoreboard_pb2 as pb
from nextclick.v1.impression_pb2 import Impression
from nextclick.v1.session_pb2 import SessionRecord
from records.refused import RefusedRecords
from streaming.raw_record import RawRecord
from streaming.tasks.checked import apply_checked
from streaming.tasks.rolling_score import RING
from streaming.tasks.score import ScoreTask
from streaming.tasks.task import TaskOptions

ITEMS = [f"i{n}" for n in range(40)]


def answer(session_id, version, items, appended=(), model="ranker", name="", **more):
    """A record of `impressions`."""
    impression = Impression(
        recommendation_id=name or f"{session_id}.{version}",
        session_id=session_id,
        session_version=version,
        appended_item_ids=appended,
        item_ids=items,
        scores=[-float(i) for i in range(len(items))],
        model=model,
        timestamp_ms=1_000 * version,
        known_items=len(ITEMS),
        **more,
    )
    key = session_id or "u:anna"
    return RawRecord(impression.SerializeToString(), key.encode(), "impressions", 0, 0, 5)


def clicks(session_id, items, follows=None, user_id=""):
    """The record of `sessions` after the last of these clicks."""
    session = SessionRecord(session_id=session_id, version=len(items), user_id=user_id)
    for seq, item in enumerate(items, 1):
        step = session.steps.add(item_id=item, seq=seq)
        step.recommendation_id = (follows or {}).get(seq, "")
    return RawRecord(session.SerializeToString(), session_id.encode(), "sessions", 0, 0, 9)


def task_of(*records):
    task = ScoreTask(TaskOptions())
    for record in records:
        apply(task, record)
    return task


def apply(task, record):
    """Have a task apply a record as its host does."""
    apply_checked(task, record, RefusedRecords(lambda _: None))


def scores(task, now_ms=10_000):
    found = [pb.Score.FromString(o.value) for o in task.publish(now_ms)]
    return {score.model: score for score in found}


def ranks(task, model="ranker"):
    rolling = task._scores[model]
    return rolling._latest(RING)["rank"].tolist()


def life(incarnation, items, first_ms=None, session_id="s"):
    """The record of a life whose steps arrived a millisecond apart, the first at its beginning."""
    session = SessionRecord(session_id=session_id, version=len(items), incarnation=incarnation)
    for seq, item in enumerate(items, 1):
        session.appended_ms = (first_ms or incarnation) + seq - 1
        session.steps.add(item_id=item, seq=seq, appended_ms=session.appended_ms)
    return RawRecord(session.SerializeToString(), session_id.encode(), "sessions", 0, 0, 9)
