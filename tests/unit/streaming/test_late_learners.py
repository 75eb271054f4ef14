"""A learner that is late learns a sample of whole sessions, and every click is accounted for."""

import zlib

import numpy as np
import pytest

from nextclick.limits import MAX_LEARNER_LATE_MS, SAMPLED_SHARE
from nextclick.v1 import learning_pb2 as pb
from nextclick.v1.session_pb2 import SessionRecord
from records.session_sample import PATIENCE_MS, number_of
from tests.unit.streaming.flink_host import Host
from tests.unit.streaming.learners_under_test import (
    CASES,
    example_records,
    raw,
    sent_by,
    vectors_task,
)


def late_records(model, n):
    """Sessions of three clicks each, which overlap; a click arrives every 10 ms."""
    # The target of every seventh is no candidate: nothing would be learned of it.
    examples = [record for i, record in enumerate(example_records(4 * n)) if i % 7 != 3]
    out = []
    for at in range(3 * n):
        # Session k has its clicks at 3 k, 3 k + 4 and 3 k + 8.
        session, place = (at - 4 * (at % 3)) // 3, at % 3
        if session < 0:
            continue
        incarnation, arrived_ms = 10 * (3 * session + 1), 10 * (at + 1)
        click = (f"s{session}", incarnation, place + 1, arrived_ms)
        if model == "ranker":
            record = sent_by(click, examples[at])
        else:
            message = SessionRecord(session_id=click[0], incarnation=incarnation, version=place + 1)
            message.appended_ms = arrived_ms
            for seq in range(1, place + 2):
                message.steps.add(item_id=f"i{(session + seq) % 40}", seq=seq)
            record = raw("sessions", message.SerializeToString())
        out.append((click, record._replace(append_time_ms=arrived_ms)))
    return out


def recounted(state, clicks):
    """Count and checksum of the clicks that were passed over, by the periods of a state."""
    names = []
    for session_id, incarnation, seq, _ in clicks:
        number = number_of(session_id, incarnation)
        for period in state.sampled:
            end = period.until_incarnation or incarnation + 1
            if period.from_incarnation <= incarnation < end and number >= period.share:
                names.append(f"{session_id}#{seq}")
    return len(names), sum(zlib.crc32(name.encode()) for name in names) % 2**64


def played(host, records, late_ms, clicks_a_publication=50):
    """Feed records that are late by as much; return the learner's state, as published last."""
    outputs = {}
    for n, (click, record) in enumerate(records, 1):
        host.now = click[-1] + late_ms
        host.feed(record)
        if n % clicks_a_publication == 0 or n == len(records):
            outputs |= host.publish()
    (state,) = (value for (name, _), value in outputs.items() if name == "ranker")
    return pb.LearnerState.FromString(state)


@pytest.mark.parametrize("model", CASES)
def test_a_record_from_the_future_changes_nothing(model):
    """After it, a learner sampled for ever, or never again, and its session stood still."""
    host = Host(CASES[model][0])
    records = late_records(model, 400)
    played(host, records[:100], late_ms=0)
    task = host.operator._task
    newest, applied = task.progress.sample.newest, task.progress.applied
    _, record = records[100]
    message = (pb.Example if model == "ranker" else SessionRecord).FromString(record.value)
    message.incarnation = message.appended_ms = 1 << 42
    host.feed(record._replace(value=message.SerializeToString()))
    played(host, records[100:101], late_ms=0)
    assert task.progress.sample.newest == max(newest, records[100][0][1])
    assert task.progress.applied == applied + 1
    assert not task.progress.repetitions


@pytest.mark.parametrize("model", CASES)
def test_a_late_learner_learns_a_sample_and_all_is_accounted_for(model):
    """Learned and passed over are all that was sent, and it can be recounted from outside."""
    records = late_records(model, 2_600)
    clicks = [click for click, _ in records]
    names = [f"{session_id}#{seq}" for session_id, _, seq, _ in clicks]
    host = Host(CASES[model][0])
    in_time = played(host, records[:1_000], late_ms=20_000)
    assert (in_time.applied, in_time.passed_over, len(in_time.sampled)) == (1_000, 0, 0)
    late = played(host, records[1_000:7_000], late_ms=MAX_LEARNER_LATE_MS + 1)
    (period,) = late.sampled
    assert period.until_incarnation == 0
    assert period.from_incarnation > 20_000, "once it has been up for 30 s"
    clicks_since = late.applied - period.from_incarnation / 10
    assert late.passed_over == pytest.approx((1 - SAMPLED_SHARE) * clicks_since, rel=0.05)
    again = played(host, records[7_000:], late_ms=5_000)
    assert again.sampled[-1].until_incarnation
    assert again.passed_over - late.passed_over < 60, "until it looks again"
    assert again.applied == len(names)
    assert again.checksum == sum(zlib.crc32(name.encode()) for name in names) % 2**64
    assert (again.passed_over, again.passed_over_checksum) == recounted(again, clicks)
    assert again.learned == again.applied - again.passed_over


@pytest.mark.parametrize("model", CASES)
def test_a_late_learner_that_crashes_has_still_counted_every_click_once(model):
    """What a session was decided to be outlives the process, and no half is learned."""
    records = late_records(model, 2_000)
    rng = np.random.default_rng(3)
    host = Host(CASES[model][0])
    played(host, records[:2], late_ms=10 * MAX_LEARNER_LATE_MS)
    checkpoint, position, at, crashes = host.checkpoint(), 2, 2, 0
    while at < len(records):
        end = min(at + int(rng.integers(1, 120)), len(records))
        # A learner at the limit; after a crash it is later than before.
        late_ms = int(rng.choice([0, 20_000, MAX_LEARNER_LATE_MS + 1])) + 40_000 * (at < position)
        state = played(host, records[at:end], late_ms, clicks_a_publication=30)
        at = end
        if rng.random() < 0.3:
            checkpoint, position = host.checkpoint(), at
        if rng.random() < 0.1:
            host.restore(checkpoint)
            at = position
            played(host, records[at : at + 1], late_ms=0)  # how long it has been up: not known
            host.operator._task.progress.sample._since_ms = -PATIENCE_MS
            at, crashes = at + 1, crashes + 1
    clicks = [click for click, _ in records]
    assert crashes > 5
    assert len(state.sampled) > 3
    assert state.applied == len(clicks)
    assert (state.passed_over, state.passed_over_checksum) == recounted(state, clicks)


def test_a_learner_with_nothing_left_to_apply_samples_no_more():
    """The first sessions after a silence would be passed over."""
    host = Host(vectors_task)
    records = late_records("vectors", 1_500)
    assert played(host, records, MAX_LEARNER_LATE_MS + 1).sampled[-1].until_incarnation == 0
    state = pb.LearnerState.FromString(host.publish()["ranker", "vectors"])
    assert state.sampled[-1].until_incarnation
    assert not host.publish(), "said once"


@pytest.mark.parametrize("model", CASES)
def test_a_late_learner_that_restarts_is_late_until_it_has_read_something(model):
    """The tick before its first record found nothing left to read: 30 s of everything followed."""
    records = late_records(model, 1_700)
    host = Host(CASES[model][0])
    late = played(host, records[:5_000], MAX_LEARNER_LATE_MS + 1)
    assert late.sampled[-1].until_incarnation == 0
    host.restart()
    host.now += PATIENCE_MS + 1
    host.publish()
    assert host.operator._task.progress.sample.sampling
    assert played(host, records[5_000:], late_ms=0).sampled[-1].until_incarnation
