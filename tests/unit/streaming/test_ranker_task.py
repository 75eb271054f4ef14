"""The task that learns the ranker: commands, kept versions, and examples that teach nothing."""

import zlib

from nextclick.limits import MAX_KEPT_VERSIONS
from nextclick.v1 import learning_pb2 as pb
from online_models.ranking.features.registry import N_COMMON
from records.session_life import Applied
from streaming.jobs.registry import REFUSED
from streaming.tasks.task import pack_meta, unpack_meta
from tests.contract.without_optional import narrow
from tests.unit.streaming.flink_host import Host
from tests.unit.streaming.learners_under_test import (
    command,
    example_records,
    learned,
    ranker_task,
    raw,
    sent_by,
)


def test_pause_resume_and_roll_back():
    """Operators stop a learner that is fed rubbish, and take it back to before."""
    host = Host(ranker_task)
    for record in example_records(600):
        host.feed(record)
    state = pb.LearnerState.FromString(host.publish()["ranker", "ranker"])
    assert len(state.kept_versions) > 3
    host.feed(command(pb.LearnerCommand.KIND_PAUSE))
    for record in example_records(50, "paused"):
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
    for record in example_records(20, "after"):
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
    host.restart()
    host.publish()
    assert list(host.operator._task._versions) == kept
    assert len(kept) <= MAX_KEPT_VERSIONS


def test_unusable_examples_teach_nothing():
    """Another program's features would be read as ours; a torn record as noise."""
    host = Host(ranker_task)
    good = pb.Example.FromString(example_records(1)[0].value)
    other, torn = pb.Example(), pb.Example()
    other.CopyFrom(good)
    other.feature_schema = "00000000"
    torn.CopyFrom(good)
    torn.features = good.features[:-2]
    for seq, example in enumerate((other, torn), 1):
        example.seq = seq
        host.feed(raw("examples", example.SerializeToString()))
    host.feed(raw("examples", b"\xff\xfe"))
    host.publish()
    progress = host.operator._task.progress
    names = zlib.crc32(b"s0#1") + zlib.crc32(b"s0#2")
    assert (progress.applied, progress.checksum) == (2, names), "a torn record names no click"
    assert host.counters[REFUSED].count == 3
    assert host.operator._task.learned == 0


def ranker_of(records):
    host = Host(ranker_task)
    for record in records:
        host.feed(record)
    return host


def test_an_example_is_learned_once_whoever_repeats_it():
    """A crashed emitter repeats minutes of them, and a second one doubles all."""
    plain = [
        sent_by((f"s{n % 50}", 100 + n % 50, n // 50 + 1, 1_000 + n), record)
        for n, record in enumerate(example_records(300))
    ]
    once = ranker_of(plain)
    behind = 40  # records that the second emitter is behind the first
    both = [r for pair in zip(plain[behind:], plain, strict=False) for r in pair]
    twice = ranker_of([*plain[:behind], *both, *plain[-behind:]])
    assert learned(twice) == learned(once)
    assert twice.operator._task.progress.repetitions == len(plain)
    twice.restart()
    for record in plain[-60:]:
        twice.feed(record)
    assert learned(twice) == learned(once), "a restarted job knows what it has learned"
    progress = twice.operator._task.progress
    assert (progress.applied, progress.repetitions) == (len(plain), len(plain) + 60)


def test_an_example_of_an_earlier_click_counts_once_and_is_not_learned():
    """An emitter that starts again makes new ones, with vectors that may know later clicks."""
    versions = [3, 5, 2, 3, 4, 2, 60, 28, 29, 29, 61]
    new = [True, True, True, False, True, False, True, False, True, False, True]
    records = example_records(len(versions))
    host, repetitions = Host(ranker_task), 0
    for version, record, is_new in zip(versions, records, new, strict=True):
        host.feed(sent_by(("s", 100, version, 100 + version), record))
        host.publish()
        repetitions += not is_new
        assert host.operator._task.progress.repetitions == repetitions, version
        host.restart()
    applied = {version for version, is_new in zip(versions, new, strict=True) if is_new}
    in_order = [
        sent_by(("s", 100, versions[at], 100 + versions[at]), records[at]) for at in (0, 1, 6, 10)
    ]
    assert learned(host) == learned(ranker_of(in_order)) | {
        "applied": len(applied),
        "checksum": sum(zlib.crc32(f"s#{version}".encode()) for version in applied),
    }


def test_notes_of_the_version_before_have_no_earlier_clicks():
    """Their number was -1: whatever comes late may be a repetition."""
    records = example_records(3)
    host = ranker_of([sent_by(("s", 100, 5, 105), records[0])])
    host.publish()
    host.operator._task._notes.put("s", Applied(100, 5, 105), -1)
    host.feed(sent_by(("s", 100, 6, 106), records[1]))
    host.feed(sent_by(("s", 100, 4, 104), records[2]))
    host.publish()
    progress = host.operator._task.progress
    assert (progress.applied, progress.repetitions) == (2, 1)


def test_a_session_that_returns_is_learned_from_again():
    """Its clicks have the numbers of its last life."""
    first, second = example_records(2)
    clicks = [("s", 100, 8, 150), ("s", 900, 1, 950), ("s", 100, 8, 150)]
    host = ranker_of(map(sent_by, clicks, [first, second, first]))
    host.publish()
    progress = host.operator._task.progress
    assert (progress.applied, progress.repetitions) == (2, 1)


def test_examples_go_on_after_two_lives_became_one():
    """The joined life is the older one: its later clicks would count as repeated for ever."""
    clicks = [("s", 900, 2, 901), ("s", 100, 10, 901), ("s", 100, 11, 902), ("s", 900, 2, 901)]
    host = ranker_of(map(sent_by, clicks, example_records(4)))
    host.publish()
    progress = host.operator._task.progress
    assert (progress.applied, progress.repetitions) == (2, 2)


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
    host.restart()
    for record in example_records(5, "after"):
        host.feed(record)
    host.publish()
    assert "begins to learn anew" in caplog.text
    task = host.operator._task
    assert task.learned == 5 - sum(i % 7 == 3 for i in range(5))
    cases = {name for name in host.states["rows"].held if name[0] != "n"}
    assert cases == {f"s{n}" for n in range(task.learned)}
    expected = learned(host)
    host.restart()
    assert learned(host) == expected


def test_a_state_without_optional_features_is_read(caplog):
    """An upgrade must cost neither what was learned nor the cases that are replayed."""
    host = ranker_of(example_records(300, optional=False))
    host.publish()
    expected = learned(host)
    count, meta = host.states["meta"].held
    state, model = unpack_meta(meta)
    host.states["meta"].held = (count, pack_meta(state, narrow(model)))
    for name, row in host.states["rows"].held.items():
        if name[0] == "s":
            host.states["rows"].held[name] = row[:4] + row[4 : 4 + 2 * N_COMMON * 12]
        elif name[0] == "v":
            host.states["rows"].held[name] = row[:4] + narrow(row[4:])
    for _ in range(2):  # what was read is written as this version writes it
        host.restart()
        assert "dropped" not in caplog.text
        assert learned(host) == expected
        host.publish()


def test_a_state_that_mixes_features_is_read():
    """So the version before has left it after such a change."""
    host = Host(ranker_task)
    for record in example_records(30):
        host.feed(record)
    host.publish()
    rows = host.states["rows"].held
    rows |= {"s900": rows["s0"][:-24], "v7": b"\0" * 4 + b"other..." + b"\0" * 40}
    host.restart()
    host.publish()
    assert host.operator._task.learned == 30 - sum(i % 7 == 3 for i in range(30))
    host.feed(example_records(1)[0])
    host.publish()
    assert not {"s900", "v7"} & set(rows)
