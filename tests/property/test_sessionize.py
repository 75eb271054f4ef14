"""Sessionisation under any stream: every event has one end, and reprocessing changes nothing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from nextclick import Context, Event, encode_event
from nextclick.event_types import EVENT_TYPES
from nextclick.v1 import session_pb2 as pb
from streaming.raw_record import RawRecord
from streaming.sessionize import DeadLetter, Erasure, Update, process

NOW = 1_700_000_000_000
TYPES = [*(kind.name for kind in EVENT_TYPES), "x"]


@st.composite
def records(draw):
    """A stream of records of three keys: good, late, future, repeated, broken, and erasures."""
    out = []
    clock = NOW
    for offset in range(draw(st.integers(1, 40))):
        clock += draw(st.integers(0, 20 * 60_000))
        name = draw(st.sampled_from(["s1", "s2", "u"]))
        raw, key = draw(st.sampled_from([b"broken", b""])), b"s1"
        if draw(st.integers(0, 9)):
            event = Event(
                draw(st.sampled_from(TYPES)),
                draw(st.sampled_from("abcd")),
                clock + draw(st.integers(-60, 6)) * 60_000,
                session_id="" if name == "u" else name,
                user_id=draw(st.sampled_from(["", "42"])) if name != "u" else "42",
                event_id=draw(st.sampled_from(["", "e1", "e2", "e3", "e4"])),
                value=draw(st.sampled_from([None, 1.0, 3.0, 5.0])),
                context=Context(*(draw(st.sampled_from(["", "a", "b"])) for _ in range(4))),
            )
            raw, key = encode_event(event), event.key.encode()
        out.append(RawRecord(raw, key, "events", 0, offset, clock))
    return out


def run(stream, states=None):
    """Process a stream; returns (states by key, outcomes)."""
    states = dict(states or {})
    outcomes = []
    for raw in stream:
        states[raw.key], outcome = process(states.get(raw.key), raw)
        outcomes.append(outcome)
    return states, outcomes


@settings(max_examples=200, deadline=None)
@given(records())
def test_every_event_ends_in_exactly_one_count(stream):
    """sent = applied + duplicates + erasures + dead letters, from the last record of each life."""
    _, outcomes = run(stream)
    newest = {}
    for at, outcome in enumerate(outcomes):
        if isinstance(outcome, Erasure):
            if outcome.session_id in newest:
                newest[at] = newest.pop(outcome.session_id)
        elif isinstance(outcome, Update):
            newest[outcome.session_id] = outcome.record
    folded = [pb.SessionRecord.FromString(record) for record in newest.values()]
    ended = sum(r.applied + r.duplicates for r in folded)
    others = sum(not isinstance(o, Update) for o in outcomes)
    assert ended + others == len(stream)


@settings(max_examples=100, deadline=None)
@given(records(), st.data())
def test_reprocessing_from_any_point_gives_the_same_bytes(stream, data):
    """After a crash the job goes back to its checkpoint: what it writes again must be equal."""
    cut = data.draw(st.integers(0, len(stream)))
    before, first = run(stream[:cut])
    _, rest = run(stream[cut:], before)
    _, again = run(stream[cut:], before)
    _, whole = run(stream)
    assert rest == again
    assert first + rest == whole


@settings(max_examples=200, deadline=None)
@given(records())
def test_records_keep_their_invariants(stream):
    """Versions never fall, seqs are unique, steps are in time order, lists are bounded."""
    versions = {}
    _, outcomes = run(stream)
    for outcome in outcomes:
        if isinstance(outcome, DeadLetter):
            assert outcome.detail
            continue
        if isinstance(outcome, Erasure):
            versions.pop(outcome.session_id, None)
            continue
        record = pb.SessionRecord.FromString(outcome.record)
        assert record.version >= versions.get(record.session_id, 0)
        versions[record.session_id] = record.version
        seqs = [step.seq for step in record.steps]
        assert len(set(seqs)) == len(seqs)
        assert max(seqs, default=0) <= record.version
        order = [(step.timestamp_ms, step.seq) for step in record.steps]
        assert order == sorted(order)
        assert len(record.steps) <= 50
        if record.steps:
            assert record.last_timestamp_ms == record.steps[-1].timestamp_ms
