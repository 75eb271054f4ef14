"""The operator that hosts a task: what is in its state, and when is published."""

from nextclick.v1 import learning_pb2 as pb
from streaming.jobs.batches import BATCH
from streaming.jobs.task_operator import TaskOperator
from tests.unit.streaming.flink_host import Host, Map
from tests.unit.streaming.learners_under_test import command, example_records, ranker_task


def test_what_a_batch_has_changed_is_in_the_state():
    """What is in memory alone is lost with the process."""
    host = Host(ranker_task)
    for record in example_records(BATCH + 3):
        host.feed(record)
    host.restart()
    host.restart()
    host.publish()
    assert host.operator._task.progress.applied == BATCH + 3


def test_a_tick_publishes_what_has_changed_and_a_full_batch_nothing():
    host = Host(ranker_task)
    for record in example_records(BATCH):
        host.feed(record)  # which asserts that nothing is published
    assert list(host.publish()) == [("ranker", "ranker")]
    assert host.publish() == {}
    host.feed(command(pb.LearnerCommand.KIND_PAUSE))
    assert list(host.publish()) == [("ranker", "ranker")]


def test_a_record_arrives_as_it_was_read():
    seen = []

    class Task:
        def apply(self, record):
            seen.append(record)

        def changes(self):
            return b"", {}

    host = Host(Task)
    records = [
        command(pb.LearnerCommand.KIND_PAUSE)._replace(offset=1 << 40, partition=7),
        command(pb.LearnerCommand.KIND_RESUME)._replace(value=b"", replayed=True),
    ]
    for record in records:
        host.feed(record)
    host.restart()
    assert seen == records


def test_what_the_version_before_had_not_yet_applied_is_applied_once():
    """It kept records in the state until a batch was full."""
    records = example_records(10)
    host = Host(ranker_task)
    for record in records[:4]:
        host.feed(record)
    host.publish()
    _, meta = host.states["meta"].held
    host.states["meta"].held = (104, meta)
    waiting = enumerate(records[3:6])
    host.states["waiting"].held = {n: (104 + n, tuple(record)) for n, record in waiting}
    host.restart()
    host.feed(records[6])
    host.restart()
    host.publish()
    assert host.operator._task.progress.applied == 7
    assert host.operator._task.progress.repetitions == 0
    assert host.states["waiting"].held == {}


def test_records_that_waited_before_there_was_a_state_are_applied():
    host = Host(ranker_task)
    waiting = host.states["waiting"] = Map()
    waiting.held = {n: (n + 1, tuple(record)) for n, record in enumerate(example_records(3))}
    host.restart()
    host.publish()
    assert host.operator._task.progress.applied == 3


def test_timers_that_a_checkpoint_of_the_version_before_brings_along_do_nothing():
    assert TaskOperator(ranker_task, "").on_timer(1, None) is None
