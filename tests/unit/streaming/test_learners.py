"""Both learners of the stream: every record once, bit for bit, whatever dies in between."""

import zlib

import numpy as np
import pytest

from nextclick.v1 import learning_pb2 as pb
from nextclick.v1.session_pb2 import SessionRecord
from tests.unit.streaming.flink_host import Host
from tests.unit.streaming.learners_under_test import CASES, learned, raw


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
            checkpoint, position = shaken.checkpoint(), i
        if rng.random() < 0.05:
            shaken.publish()
        if rng.random() < 0.02 and checkpoint:
            shaken.restore(checkpoint)
            i = position
            crashes += 1
    assert crashes
    assert learned(shaken) == learned(calm)


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
