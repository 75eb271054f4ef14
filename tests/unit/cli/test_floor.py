"""The floor of the sessions job: the least that a job can do, as a job of the same kind."""

from importlib.util import find_spec
from pkgutil import resolve_name

import orjson

from cli.bench.floor import FLOOR, touch
from streaming.output import Output
from streaming.raw_record import RawRecord


def test_the_floor_is_what_its_declaration_says():
    """It would fail in Flink's process, minutes after it was submitted."""
    (part,) = FLOOR.parts
    assert find_spec(FLOOR.module)
    assert resolve_name(part.hosts) is touch


def test_the_floor_counts_and_passes_on():
    """The benchmark's ratio would be that of another job."""
    event = orjson.dumps({"session_id": "s"})
    raw = RawRecord(event, b"s", "bench.events", 0, 0, 1_700_000_000_000)
    state, outputs = touch(None, raw)
    assert outputs == (Output("sessions", b"s", event),)
    assert touch(state, raw)[0] != state
