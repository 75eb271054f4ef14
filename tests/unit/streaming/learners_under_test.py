"""The learners' tasks, records for them, and what they have learned."""

import numpy as np

from nextclick.v1 import learning_pb2 as pb
from nextclick.v1.session_pb2 import SessionRecord
from online_models.learners.publication import PUBLISH_SHARE
from online_models.ranking.features.registry import N_COMMON, N_FEATURES, SCHEMA
from streaming.raw_record import RawRecord
from streaming.tasks.ranker import RankerTask
from streaming.tasks.task import TaskOptions
from streaming.tasks.vectors import VectorsTask

MOST_OFF = PUBLISH_SHARE + float(np.finfo(np.float16).eps)
"""Share of their length by which published vectors may be off: they are published from a move of
`PUBLISH_SHARE` on, as halves."""


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


def example_records(n, visitor="s", optional=True):
    """Cases of 12 candidates whose target has the largest third feature; some are missed."""
    rng = np.random.default_rng(6)
    out = []
    for i in range(n):
        features = rng.normal(size=(N_FEATURES, 12)).astype("<f2")
        if not optional:
            features[N_COMMON:] = 0
        missed = i % 7 == 3
        example = pb.Example(
            feature_schema=SCHEMA,
            session_id=f"{visitor}{i}",
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


def command(kind, version=0):
    value = pb.LearnerCommand(kind=kind, version=version).SerializeToString()
    return raw("commands", value, b"ranker")


def sent_by(click, record):
    """A record of an example under another click: session, incarnation, seq, time of arrival."""
    message = pb.Example.FromString(record.value)
    message.session_id, message.incarnation, message.seq, message.appended_ms = click
    return record._replace(value=message.SerializeToString())


def life_records(incarnation, items):
    """The records of a life whose clicks arrived a millisecond apart."""
    session = SessionRecord(session_id="s", incarnation=incarnation)
    for seq, item in enumerate(items, 1):
        session.version = seq
        session.appended_ms = incarnation + seq - 1
        session.steps.add(item_id=item, seq=seq, appended_ms=session.appended_ms)
        yield raw("sessions", session.SerializeToString())


def session_record(session_id, version):
    """The record of a session after so many clicks."""
    record = SessionRecord(session_id=session_id, version=version)
    for seq in range(1, version + 1):
        record.steps.add(item_id=f"i{seq}", seq=seq)
    return raw("sessions", record.SerializeToString())
