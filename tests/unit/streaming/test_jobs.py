"""The jobs as they are declared, and the pure functions that they host."""

from importlib.util import find_spec
from pkgutil import resolve_name

import pytest

from nextclick import Event, encode_event
from nextclick.codec import DeadLetterReason
from nextclick.topics import TOPICS
from streaming.jobs.flink import handover_tag, raw_record
from streaming.jobs.keyed_process import KeyedProcess, TimedProcess
from streaming.jobs.registry import JOBS
from streaming.output import Output, Wake
from streaming.raw_record import RawRecord
from streaming.session_outputs import MAX_DETAIL, headers, to_outputs
from streaming.sessionize import DeadLetter, RatingThresholds
from tests.unit.streaming.flink_host import Value

NOW = 1_700_000_000_000


@pytest.mark.parametrize("job", JOBS.values(), ids=lambda job: job.name)
def test_what_a_job_is_declared_with_exists(job):
    """A job would fail in Flink's process, minutes after it was submitted."""
    assert find_spec(job.module)
    for part in job.parts:
        assert callable(resolve_name(part.hosts))
        assert set(part.topics) <= set(TOPICS)


def test_names_of_groups_stay():
    """Lag is shown by them, and operators have alerts on them."""
    groups = {part.group for job in JOBS.values() for part in job.parts}
    assert groups >= {"sessions-job", "profiles-job", "vectors-job", "ranker-job", "score-job"}


class Held(Value):
    """A value state that counts its writes."""

    writes = 0

    def update(self, value):
        self.writes += 1
        super().update(value)

    def clear(self):
        self.held = None


class Context:
    """Flink's side of an operator."""

    def __init__(self):
        self.states = {}

    def get_state(self, descriptor):
        return self.states.setdefault(descriptor.name, Held())


def operator(process, tenant="shop"):
    """An operator around a function, and its state."""
    context = Context()
    made = KeyedProcess(process, tenant, state="session", ttl_ms=48 * 3_600_000)
    made.open(context)
    return made, context.states["session"]


def fed(made, value, key=b"s"):
    """What an operator makes of a record."""
    row = (value, key, "shop.events", 1, 7, NOW, 0)
    return [tuple(row) for row in made.process_element(row, None)]


def sessions_operator():
    return operator(lambda state, raw: to_outputs(state, raw, RatingThresholds()))


def test_a_click_becomes_the_record_of_its_session():
    """Topics carry the tenant, keys are those that everybody reads by."""
    made, state = sessions_operator()
    click = encode_event(Event("click", "a", NOW, session_id="s"))
    ((topic, key, value, lines),) = fed(made, click)
    assert (topic, key, lines) == ("shop.sessions", b"s", "")
    assert value in state.held


def test_a_dead_letter_leaves_the_state_alone():
    """A write would prolong the life of a key that only gets rubbish."""
    made, state = sessions_operator()
    ((topic, key, value, lines),) = fed(made, b"rubbish")
    assert (topic, key, value) == ("shop.dead-letters", b"s", b"rubbish")
    assert dict(line.split("=", 1) for line in lines.split("\n")) | {"detail": ""} == {
        "reason": "malformed_json",
        "detail": "",
        "topic": "shop.events",
        "partition": "1",
        "offset": "7",
    }
    assert state.writes == 0


def test_a_state_that_ends_is_cleared():
    """It would lie there for ever."""
    made, state = operator(lambda state, raw: (None if state else b"held", ()))
    fed(made, b"")
    assert state.held == b"held"
    fed(made, b"")
    assert state.held is None


def test_a_detail_is_one_short_line():
    """Headers are lines of ``name=value``: a line break in one would begin another."""
    letter = DeadLetter(DeadLetterReason.INVALID_FIELD, "a\nb=c " + "x" * 2 * MAX_DETAIL + "\ud800")
    lines = headers(letter, RawRecord(b"", b"s", "events", 0, 0, NOW)).split("\n")
    assert [line.split("=")[0] for line in lines] == [
        "reason", "detail", "topic", "partition", "offset",
    ]  # fmt: skip
    assert lines[1].startswith("detail=a b=c xxx")
    assert len(lines[1]) <= len("detail=") + MAX_DETAIL


class Timers(Context):
    """Flink's side of an operator with timers, and a clock."""

    def __init__(self):
        super().__init__()
        self.now, self.timers = NOW, set()

    def timer_service(self):
        return self

    def current_processing_time(self):
        return self.now

    def register_processing_time_timer(self, at_ms):
        self.timers.add(at_ms)

    def delete_processing_time_timer(self, at_ms):
        self.timers.discard(at_ms)


def test_what_an_operator_hands_over_is_a_record_for_the_next_one():
    """The session of a signed-in user goes to the part that keeps profiles, and nowhere else."""
    made, _ = sessions_operator()
    click = encode_event(Event("click", "a", NOW, session_id="s", user_id="u"))
    row = (click, b"s", "shop.events", 1, 7, NOW, 0)
    published, (tag, handed) = made.process_element(row, None)
    assert tag.tag_id == handover_tag().tag_id
    assert published[0] == "shop.sessions"
    key, record = handed
    assert key == "u"
    assert raw_record(record) == RawRecord(published[2], b"u", "sessions", 1, 7, NOW)


def test_a_function_is_called_at_the_times_that_it_has_named():
    """Its last word counts: a timer that was moved must not lie in every checkpoint for good."""
    context = Timers()

    def process(state, raw, now_ms):
        asked = [Wake(now_ms + 10)] if state is None else [Wake(now_ms + 5, NOW + 10)]
        return (state or b"") + raw.value, asked

    def wake(state, now_ms):
        return None, (Output("profiles", b"u", b"%d" % (now_ms - NOW)),)

    made = TimedProcess(process, wake, "shop", state="profile")
    made.open(context)
    row = (b"x", b"u", "shop.users", 1, 7, NOW, 0)
    assert list(made.process_element(row, context)) == []
    assert context.timers == {NOW + 10}
    assert list(made.process_element(row, context)) == []
    assert context.timers == {NOW + 5}
    assert context.states["profile"].held == b"xx"
    context.now = NOW + 6
    (row,) = made.on_timer(NOW + 5, context)
    assert tuple(row) == ("shop.profiles", b"u", b"6", "")
    assert context.states["profile"].held is None
