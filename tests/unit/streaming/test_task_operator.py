"""The operator that hosts a task: what waits, and when is published."""

from nextclick.v1 import learning_pb2 as pb
from streaming.jobs.task_operator import BATCH, PUBLISH_MS
from tests.unit.streaming.flink_host import Host
from tests.unit.streaming.learners_under_test import command, example_records, ranker_task


def test_what_waits_is_in_the_state():
    """A mini-batch in memory alone would be lost with the process."""
    host = Host(ranker_task)
    records = example_records(BATCH + 3)
    for record in records:
        host.feed(record)
    host.start()
    host.publish()
    assert host.operator._task.progress.applied == BATCH + 3


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


def test_a_clock_that_steps_back_does_not_stop_publications():
    """The next timer is counted from the time that it is now, whatever it was."""
    host = Host(ranker_task)
    host.now = 3_600_000
    host.feed(example_records(1)[0])
    host.now = 1_000
    host.publish()
    assert host.timers == {host.now + PUBLISH_MS}
