"""Good events among fuzzed ones through the real job: the codec decides, and nothing is lost."""

import json
import random
import time

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from cli.stack import flink_rest
from cli.stack.layout import SAMPLE
from evaluation.datasets import clicks_in_order, load_sessions
from nextclick import Event, encode_event
from nextclick.topics import REPLAY_HEADER
from nextclick.v1.session_pb2 import SessionRecord
from streaming.raw_record import RawRecord
from streaming.sessionize import DeadLetter, process
from tests.integration.conftest import eventually

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
FIELDS = ["v", "type", "item_id", "timestamp_ms", "session_id", "user_id", "event_id", "value"]


def good_events(run, n):
    """Real clicks of the sample under session ids of this run."""
    sessions = load_sessions(SAMPLE / "train.txt.gz")
    for s, p in clicks_in_order(sessions)[:n]:
        session = sessions[s]
        name = f"{run}-{session.session_id}"
        event = Event(
            "view", session.items[p], session.times_ms[p], session_id=name, event_id=f"{name}-{p}"
        )
        yield name.encode(), encode_event(event)


def broken_events(run, n):
    """Events of hypothesis with fields of any JSON value, under keys of this run."""
    out = []

    @seed(1)
    @settings(
        max_examples=n,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.integers(0, 99))
    def generate(fields, key):
        base = {"v": 1, "type": "view", "item_id": "a", "session_id": f"{run}-f{key}"}
        out.append((f"{run}-f{key}".encode(), json.dumps({**base, **fields}).encode()))

    generate()
    return out[:n]


def mutations(good, n):
    """Real events with a few bytes changed, cut, doubled or swapped."""
    rng = random.Random(2)
    for _ in range(n):
        key, raw = rng.choice(good)
        data = bytearray(raw)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            match rng.randrange(4):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at : at + rng.randint(1, 8)]
                case 2:
                    data[at:at] = data[at : at + rng.randint(1, 8)]
                case 3:
                    data[at:at] = bytes([rng.randrange(256)])
            data = data or bytearray(b"{")
        yield key, bytes(data)


def of_run(messages, run):
    """Those of this run: what tests before it have sent may still come."""
    return [m for m in messages if (m.key() or b"").startswith(f"{run}-".encode())]


def expected_of(messages):
    """What the pure function makes of the same offsets: (newest records, dead letters)."""
    states, newest, dead = {}, {}, {}
    for m in sorted(messages, key=lambda m: (m.partition(), m.offset())):
        raw = RawRecord(
            m.value() or b"",
            m.key() or b"",
            "events",
            m.partition(),
            m.offset(),
            m.timestamp()[1],
            any(name == REPLAY_HEADER for name, _ in m.headers() or ()),
        )
        states[raw.key], outcome = process(states.get(raw.key), raw)
        if isinstance(outcome, DeadLetter):
            dead[raw.partition, raw.offset] = outcome.reason.value
        else:
            newest[outcome.session_id] = outcome.record
    return newest, dead


@pytest.mark.parametrize(
    ("good", "fuzzed"),
    [(1_000, 10_000), pytest.param(10_000, 100_000, marks=pytest.mark.long)],
)
def test_every_fuzzed_event_is_accounted_for(stack, producer, reader, good, fuzzed):
    """Whatever bytes come, the job neither dies nor loses a record, and good events pass."""
    run = f"fuzz{good}"
    events, sessions, letters = (reader(t) for t in ("events", "sessions", "dead-letters"))
    started_ms = time.time() * 1000
    real = list(good_events(run, good))
    bad = broken_events(run, fuzzed // 10) + list(mutations(real, fuzzed - fuzzed // 10))
    mixed = [*real, *bad]
    # Good ones keep their order in time; the others go anywhere between them.
    rng = random.Random(3)
    places = [float(i) if i < good else rng.random() * good for i in range(len(mixed))]
    order = sorted(range(len(mixed)), key=places.__getitem__)
    for i in order:
        key, raw = mixed[i]
        while True:
            try:
                producer.produce("events", raw, key, headers=[(REPLAY_HEADER, b"1")])
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0
    mine = eventually(
        lambda: of_run(events.read(), run), lambda m: len(m) >= len(mixed), "the events"
    )
    newest, dead = expected_of(mine)
    got_dead = {}
    got = {}

    def read():
        for m in of_run(letters.read(), run):
            headers = dict(m.headers())
            got_dead[int(headers["partition"]), int(headers["offset"])] = headers["reason"].decode()
        for m in of_run(sessions.read(), run):
            got[m.key().decode()] = m.value()
        return len(got_dead) >= len(dead) and got.keys() >= newest.keys() and got == newest

    eventually(read, bool, "all events accounted for")
    assert got_dead == dead
    assert got == newest
    ended = sum(
        r.applied + r.duplicates for r in (SessionRecord.FromString(v) for v in got.values())
    )
    assert ended + len(got_dead) == len(mixed)
    assert flink_rest.failures(stack.ports, stack.jobs["sessions"], started_ms) == []
    assert len(dead) > fuzzed // 3
