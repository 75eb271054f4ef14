"""Random and mutated bytes on every topic that a job or the session store reads.

The longest time of one record is told, in processor time: all later records wait for it.
"""

from functools import partial
from pkgutil import resolve_name

import pytest

from nextclick.topics import IMPRESSIONS, PROFILES, SESSIONS, TOPICS
from records.refused import RefusedRecords
from streaming.jobs.registry import JOBS
from streaming.output import Handover, Output, Wake
from streaming.profiles import wake
from streaming.raw_record import RawRecord
from streaming.session_batch import Batch, ProfileBatch
from streaming.sessionize import RatingThresholds
from streaming.tasks.checked import apply_checked
from streaming.tasks.task import TaskOptions
from tests.property.fuzz import NOW_MS, READ_BY_REPLICAS, Fuzz, longest

PUBLISH_EVERY = 500
WARM_UP = 30

BOUND = 250
"""Nobody waits for a job as for a replica's lock: vectors learn a session of 50 new steps in 50."""


class Jobs(Fuzz):
    """The parts of all jobs, and the batches of the store, without Flink and Redis."""

    def __init__(self, seed):
        super().__init__(seed)
        self.offset = 0
        self.states, self.users = {}, {}
        self.tasks = []
        self.refused = RefusedRecords(lambda _: None)
        self.readers = {SESSIONS: [partial(self.store, Batch)]}
        self.readers[PROFILES] = [partial(self.store, ProfileBatch)]
        for part in dict.fromkeys(part for job in JOBS.values() for part in job.parts):
            hosts = resolve_name(part.hosts)
            if part.name == "sessions":
                self.sessionize, apply = hosts, self.apply_event
            elif part.name == "profiles":
                self.keep_profile, apply = hosts, self.apply_user
            else:
                self.tasks.append(hosts(TaskOptions(max_items=32)))
                apply = partial(self.apply_checked, self.tasks[-1])
            for topic in part.topics:
                self.readers.setdefault(topic, []).append(apply)

    def apply_event(self, record):
        state, outputs = self.sessionize(self.states.get(record.key), record, RatingThresholds())
        self.states[record.key] = state
        outcome, *handed = outputs
        assert isinstance(outcome, Output)
        for one in handed:  # to the other part of the job
            assert isinstance(one, Handover)
            self.apply_user(one.record)
        assert len(handed) <= 1, "an event has one outcome"

    def apply_user(self, record):
        now_ms = record.append_time_ms
        state, outputs = self.keep_profile(self.users.get(record.key), record, now_ms)
        asked = [output.at_ms for output in outputs if isinstance(output, Wake)]
        for at_ms in asked[:1] if self.random.random() < 0.1 else ():
            state, _ = wake(state, at_ms)
        self.users[record.key] = state

    def apply_checked(self, task, record):
        apply_checked(task, record, self.refused)
        self.refused.report()

    def store(self, batch, record):
        batch().add(0, record.offset, record.key, record.value or None)

    def feed(self, topic, key, value):
        """Have all parts that read a topic apply a record; Flink's source has no None."""
        record = RawRecord(value or b"", key, topic, 0, self.offset, NOW_MS + self.offset)
        self.offset += 1
        for apply in self.readers[topic]:
            self.measured(topic, lambda apply=apply: apply(record))
        if self.offset % PUBLISH_EVERY == 0:
            for task in self.tasks:
                task.changes()
                list(task.publish(record.append_time_ms))


def test_every_topic_is_fuzzed():
    """A topic that is added would be read by what nobody has tried to stop."""
    assert {*READ_BY_REPLICAS, *Jobs(1).readers} == set(TOPICS)


@pytest.mark.parametrize(
    "rounds", [300, pytest.param(100_000, marks=[pytest.mark.long, pytest.mark.timeout(7_200)])]
)
def test_whatever_comes_the_jobs_go_on(rounds):
    """An exception would restart a job for ever: it reads the same record again."""

    def run():
        jobs = Jobs(1)
        for _ in range(WARM_UP):
            for topic in jobs.readers:
                jobs.feed(topic, *jobs.record(topic))
        for _ in range(rounds):
            for topic in jobs.readers:
                jobs.feed(topic, *jobs.fuzzed(topic))
        vectors, ranker, score = (
            next(task for task in jobs.tasks if type(task).__name__ == name)
            for name in ("VectorsTask", "RankerTask", "ScoreTask")
        )
        assert vectors.learned
        assert ranker.learned
        jobs.feed(IMPRESSIONS, *jobs.record(IMPRESSIONS))
        assert list(score.publish(NOW_MS * 2))
        return jobs

    floors, told = longest(run, BOUND)
    assert floors <= BOUND, told
