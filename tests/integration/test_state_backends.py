"""The sessions job with its state in RocksDB: killed in mid-stream, and taken to the heap."""

import uuid
from collections import Counter
from functools import cached_property

import pytest

from cli.bench.learning import put
from cli.stack import flink, flink_rest, kafka, process, topics
from nextclick import Event, encode_event
from nextclick.topics import topic
from nextclick.v1.session_pb2 import SessionRecord
from streaming.jobs.registry import JOBS
from tests.integration.conftest import Reader, eventually
from tests.integration.test_path import now_ms

LIMIT_S = 1_800.0
"""For a million sessions on cores that others use, too."""

SOME = 0.02
"""Share of the sessions that click between two checkpoints."""


@pytest.mark.parametrize(
    "sessions",
    [3_000, pytest.param(1_000_000, marks=[pytest.mark.long, pytest.mark.timeout(7200)])],
)
def test_a_state_in_rocksdb_outlives_kills_and_can_move_to_the_heap(
    stack, producer, monkeypatch, tmp_path, sessions
):
    """Every session has each of its clicks once; a checkpoint writes what has changed."""
    clicks = Clicks(stack, producer, sessions)
    monkeypatch.setenv("NEXTCLICK_STATE_BACKEND", "rocksdb")
    with stack.more_taskmanagers() as (name,):
        job = submit(stack, clicks.tenant, tmp_path)
        clicks.send("a")
        clicks.wait("a")
        whole = checkpoint(stack, job)
        clicks.send("b", SOME)
        clicks.wait("b", SOME)
        little = checkpoint(stack, job)
        assert little["checkpointed_size"] <= max(0.2 * whole["state_size"], 200_000)
        clicks.send("c")
        clicks.wait("c", 0.2)
        process.kill(stack.child(name))
        stack.replace(name, flink.start_taskmanager(stack.home, 3, bound=True))
        clicks.wait("c")
        assert memory(stack.child(name)) < 1_500_000_000
        savepoint = flink_rest.stop_with_savepoint(stack.ports, job, tmp_path)
        monkeypatch.setenv("NEXTCLICK_STATE_BACKEND", "heap")
        job = submit(stack, clicks.tenant, tmp_path, savepoint.as_uri())
        clicks.send("d", SOME)
        clicks.wait("d", SOME)
        flink_rest.cancel(stack.ports, job)
    clicks.close()
    some = int(SOME * sessions)
    expected = ["abcd"] * some + ["ac"] * (sessions - some)
    assert list(clicks.items.values()) == expected


class Clicks:
    """Clicks of many sessions, and what the job has made of them."""

    def __init__(self, stack, producer, sessions):
        self.tenant = f"rocks{uuid.uuid4().hex[:6]}"
        topics.create(kafka.admin_client(stack.kafka_settings), self.tenant)
        self._producer = producer
        self._sessions = sessions
        self._servers = stack.kafka
        self.items = dict.fromkeys((f"s{n}" for n in range(sessions)), "")
        """Items of the newest record of each session."""
        self._counts = Counter({"": sessions})

    @cached_property
    def _reader(self):
        return Reader(self._servers, topic("sessions", self.tenant), from_beginning=True)

    def send(self, item, share=1.0):
        """Let the first sessions click on an item."""
        for n in range(int(share * self._sessions)):
            event = Event("view", item, now_ms(), session_id=f"s{n}")
            put(self._producer, topic("events", self.tenant), f"s{n}", encode_event(event))
        self._producer.flush()

    def wait(self, item, share=1.0):
        """Wait until so many sessions have the item."""
        eventually(
            lambda: self._having(item),
            lambda n: n >= int(share * self._sessions),
            f"clicks on {item}",
            LIMIT_S,
        )

    def _having(self, item):
        for message in self._reader.read():
            record = SessionRecord.FromString(message.value())
            items = "".join(step.item_id for step in record.steps)
            assert record.version == record.applied == len(items)
            self._counts[self.items[record.session_id]] -= 1
            self._counts[items] += 1
            self.items[record.session_id] = items
        self._reader.messages.clear()
        return sum(n for items, n in self._counts.items() if item in items)

    def close(self):
        self._reader.close()


def submit(stack, tenant, folder, from_state=""):
    args = ("--kafka", stack.kafka, "--tenant", tenant)
    job = flink.submit(
        stack.home, JOBS["sessions"], *args, from_state=from_state, states=(folder, folder)
    )
    flink.wait_running(stack.home, stack.ports, job)
    return job


def checkpoint(stack, job):
    """The next checkpoint that begins after this call."""

    def completed():
        latest = flink_rest.rest(stack.ports, f"jobs/{job}/checkpoints")["latest"]["completed"]
        return latest if latest and latest["trigger_timestamp"] > began else None

    last = flink_rest.rest(stack.ports, f"jobs/{job}/checkpoints")["latest"]["completed"]
    began = last["trigger_timestamp"] + 1 if last else 0
    return eventually(completed, bool, "a checkpoint", LIMIT_S)


def memory(child):
    """Resident bytes of a part."""
    found = process.find(child)
    return sum(p.memory_info().rss for p in [found, *found.children(recursive=True)])
