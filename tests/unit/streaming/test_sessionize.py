"""The rules of time, order and identity, event by event, without Flink."""

import pytest

from nextclick import Event, encode_event
from nextclick.codec import DeadLetterReason as Reason
from nextclick.event_types import EVENT_TYPES, Effect
from nextclick.limits import MAX_EVENT_IDS, MAX_SESSION_STEPS, SESSION_STEPS
from nextclick.v1 import session_pb2 as pb
from records.session_life import Applied
from streaming.raw_record import RawRecord
from streaming.sessionize import (
    DeadLetter,
    Erasure,
    KeyState,
    RatingThresholds,
    Update,
    process,
)

NOW = 1_700_000_000_000
MINUTE = 60_000


class Session:
    """Feeds events of one key, as the Flink operator does."""

    def __init__(self, ratings=None):
        self.state = None
        self.offset = 0
        self.ratings = ratings or RatingThresholds()

    def send(self, kind="view", item="a", at=0, *, now=None, replayed=False, key=None, **fields):
        """Send an event ``at`` minutes after NOW, appended at that time; returns the outcome."""
        fields = {"session_id": "s", **fields}
        event = Event(kind, item, NOW + int(at * MINUTE), **fields)
        append = NOW + int((at if now is None else now) * MINUTE)
        raw = encode_event(event)
        return self.feed(raw, (key or event.key).encode(), append, replayed)

    def feed(self, raw, key=b"s", append=NOW, replayed=False):
        record = RawRecord(raw, key, "events", 0, self.offset, append, replayed)
        self.offset += 1
        self.state, outcome = process(self.state, record, self.ratings)
        if not isinstance(outcome, Update):
            return outcome
        return pb.SessionRecord.FromString(outcome.record)


def items(record):
    return [step.item_id for step in record.steps]


def test_steps_come_in_the_order_of_arrival_with_rising_seq():
    """Replicas learn by seq: a gap or a repetition would lose or double a click."""
    s = Session()
    for i, item in enumerate("abc"):
        record = s.send(item=item, at=i)
    assert items(record) == ["a", "b", "c"]
    assert [step.seq for step in record.steps] == [1, 2, 3]
    assert (record.version, record.applied, record.step_count) == (3, 3, 3)
    assert record.first_timestamp_ms == NOW
    assert record.last_timestamp_ms == NOW + 2 * MINUTE


def test_a_late_step_takes_its_place_in_time_and_the_next_seq():
    """A phone that was offline sends its click later: it belongs between the others."""
    s = Session()
    s.send(item="a", at=0)
    s.send(item="c", at=10)
    record = s.send(item="b", at=5, now=11)
    assert items(record) == ["a", "b", "c"]
    assert [step.seq for step in record.steps] == [1, 3, 2]
    assert record.last_timestamp_ms == NOW + 10 * MINUTE


def test_a_step_before_the_first_one_moves_the_beginning():
    """The session's first timestamp is that of its first step in time."""
    s = Session()
    s.send(item="b", at=5)
    record = s.send(item="a", at=0, now=6)
    assert items(record) == ["a", "b"]
    assert record.first_timestamp_ms == NOW


def test_a_step_half_an_hour_before_the_last_one_is_too_late():
    """Beyond 30 minutes a late click is another visit's, or a broken clock's."""
    s = Session()
    s.send(at=31)
    assert s.send(at=0.9, now=31).reason == Reason.TOO_LATE
    assert s.send(at=1, now=31).version == 2


def test_a_timestamp_from_the_future_is_refused():
    """Next year's click would make every later one of its session too late."""
    s = Session()
    assert s.send(at=5.1, now=0).reason == Reason.FROM_FUTURE
    assert s.send(at=365 * 24 * 60, now=0).reason == Reason.FROM_FUTURE
    assert s.send(at=5, now=0).version == 1


def test_a_timestamp_of_1970_is_refused_unless_replayed():
    """A client without a clock sends 1970; a history of 1970 is marked as such."""
    s = Session()
    old = encode_event(Event("view", "a", 1, session_id="s"))
    assert s.feed(old).reason == Reason.TOO_LATE
    assert s.feed(old, replayed=True).version == 1


def test_a_replay_lifts_only_the_comparison_with_the_append_time():
    """Within a replayed session the order in time still rules."""
    s = Session()
    assert s.send(at=0, now=100_000, replayed=True).version == 1
    assert s.send(at=40, now=100_000, replayed=True).version == 2
    assert s.send(at=1, now=100_000, replayed=True).reason == Reason.TOO_LATE


@pytest.mark.parametrize(
    "strong", [kind.name for kind in EVENT_TYPES if kind.effect is Effect.STRENGTHENS]
)
def test_a_strong_event_on_the_last_item_strengthens_it(strong):
    """Putting the viewed item into the cart is no second visit to it."""
    s = Session()
    s.send(item="a")
    record = s.send(strong, item="a", at=1)
    assert items(record) == ["a"]
    assert record.steps[0].strengthened_seq == record.version == 2
    assert record.steps[0].type == pb.EventType.Value(f"EVENT_TYPE_{strong.upper()}")
    assert record.applied == 2


def test_a_strong_event_on_another_item_is_a_step():
    """A purchase from a list page, without a view, still says what the visitor wants."""
    s = Session()
    s.send(item="a")
    record = s.send("purchase", item="b", at=1)
    assert items(record) == ["a", "b"]
    assert record.steps[1].type == pb.EVENT_TYPE_PURCHASE


def test_a_weaker_event_does_not_weaken_a_purchase():
    """Filters on what was bought rest on the strongest event."""
    s = Session()
    s.send("purchase", item="a")
    record = s.send("like", item="a", at=1)
    assert record.steps[0].type == pb.EVENT_TYPE_PURCHASE
    assert record.steps[0].strengthened_seq == 2


@pytest.mark.parametrize(
    ("value", "kind"),
    [(5.0, "like"), (4.0, "like"), (3.0, "step"), (2.0, "hidden"), (1.0, "hidden"), (None, "step")],
)
def test_ratings_are_likes_steps_or_dislikes(value, kind):
    """A one-star rating must not recommend the item to others."""
    s = Session()
    s.send(item="a")
    record = s.send("rating", item="a", at=1, value=value)
    assert (list(record.hidden_item_ids) == ["a"]) == (kind == "hidden")
    assert (record.steps[0].strengthened_seq == 2) == (kind == "like")
    assert (len(record.steps) == 2) == (kind == "step")


def test_the_scale_of_ratings_is_a_setting():
    """A shop with ten stars has its own idea of a like."""
    s = Session(RatingThresholds(like_from=8, dislike_to=4))
    s.send(item="a")
    assert list(s.send("rating", item="a", value=4.0).hidden_item_ids) == ["a"]


def test_a_dislike_hides_and_is_no_step():
    """What a visitor does not want to see is neither shown again nor learned."""
    s = Session()
    record = s.send("dislike", item="x")
    record = s.send("dislike", item="x", at=1)
    assert list(record.hidden_item_ids) == ["x"]
    assert not record.steps
    assert record.version == 2


def test_unknown_types_are_counted_and_change_nothing():
    """A shop's own events may flow through; they must not disturb and not get lost."""
    s = Session()
    s.send(item="a")
    record = s.send("scroll", item="b", at=1)
    assert items(record) == ["a"]
    assert (record.version, record.applied) == (1, 2)


def test_a_repeated_event_id_is_a_duplicate():
    """Retries of a client must not count twice."""
    s = Session()
    s.send(item="a", event_id="e1")
    record = s.send(item="a", at=1, event_id="e1")
    assert (record.version, record.applied, record.duplicates) == (1, 1, 1)


def test_events_without_id_are_never_duplicates():
    """Two views of one item are two views."""
    s = Session()
    s.send(item="a")
    assert s.send(item="a").version == 2


def test_event_ids_are_remembered_up_to_a_bound():
    """The memory for repetitions must not grow with the session."""
    s = Session()
    for i in range(MAX_EVENT_IDS + 1):
        s.send(event_id=f"e{i}")
    assert len(KeyState.from_bytes(s.state).event_ids) == 8 * MAX_EVENT_IDS
    assert s.send(event_id=f"e{MAX_EVENT_IDS}").duplicates == 1
    assert s.send(event_id="e1").duplicates == 2
    assert s.send(event_id="e0").duplicates == 2  # forgotten: it counts again


def test_a_session_keeps_its_last_steps_and_counts_them_all():
    """Records stay small however long a session grows."""
    s = Session()
    for i in range(SESSION_STEPS + 7):
        record = s.send(item=f"i{i}", at=i / 60)
    assert len(record.steps) == SESSION_STEPS
    assert items(record)[0] == "i7"
    assert record.step_count == record.version == SESSION_STEPS + 7


def test_a_full_session_takes_no_more_steps():
    """A robot's session must not grow for ever; each refused click has its reason."""
    s = Session()
    s.send()
    state = KeyState.from_bytes(s.state)
    state.session.step_count = MAX_SESSION_STEPS
    s.state = state.to_bytes(state.session.SerializeToString())
    assert s.send(at=1).reason == Reason.SESSION_FULL


def test_a_user_without_sessions_gets_one_for_each_visit():
    """Thirty idle minutes end a visit; an id is never given twice, whatever has been forgotten."""
    s = Session()
    one = {"session_id": "", "user_id": "42"}
    assert s.send(at=0, **one).session_id == f"u:42~{NOW}.0"
    assert s.send(at=30, **one).session_id == f"u:42~{NOW}.0"
    record = s.send(at=60.1, item="z", **one)
    assert record.session_id == f"u:42~{NOW + int(60.1 * MINUTE)}.2"
    assert items(record) == ["z"]
    assert (record.version, record.applied) == (1, 1)
    assert record.user_id == "42"


def test_a_late_event_does_not_open_a_users_next_session():
    """Only time that passes forward ends a visit."""
    s = Session()
    one = {"session_id": "", "user_id": "42"}
    s.send(at=40, **one)
    record = s.send(at=15, now=41, item="early", **one)
    assert record.session_id == f"u:42~{NOW + 40 * MINUTE}.0"
    assert items(record)[0] == "early"


DAYS = 24 * 60
"""In minutes."""


def test_a_session_that_returns_after_its_state_has_expired_begins_anew():
    """Readers take its next click as newer than all that they know of it."""
    s = Session()
    s.send(item="a", at=0)
    before = s.send(item="b", at=1 * DAYS)
    assert before.incarnation == NOW
    record = s.send(item="c", at=3 * DAYS + 1)
    assert items(record) == ["c"]
    assert (record.version, record.applied, record.step_count) == (1, 1, 1)
    assert record.incarnation == record.appended_ms == NOW + (3 * DAYS + 1) * MINUTE
    assert Applied.after(before).returns(record)


@pytest.mark.parametrize("fields", [{}, {"session_id": "", "user_id": "42"}])
def test_it_does_not_matter_when_flink_clears_an_expired_state(fields):
    """Flink counts processing time: a job that reads old events again must make the same lives."""
    kept, cleared = Session(), Session()
    for at in (0, 1, 3 * DAYS):
        cleared.state = None if at == 3 * DAYS else cleared.state
        again = cleared.send(at=at, **fields)
        record = kept.send(at=at, **fields)
    assert again == record


def test_a_dead_letter_does_not_end_an_expired_life():
    """Nor does it begin one: what is rejected changes nothing."""
    s = Session()
    s.send()
    state = s.state
    assert s.send(at=0, now=9 * DAYS).reason == Reason.TOO_LATE
    assert s.state is state


def test_steps_say_when_their_events_arrived():
    """By these times a reader knows what it has learned, in whatever life it comes again."""
    s = Session()
    s.send(at=0)
    record = s.send(item="b", at=-1, now=2)
    assert [(step.item_id, step.appended_ms) for step in record.steps] == [
        ("b", NOW + 2 * MINUTE),
        ("a", NOW),
    ]
    assert record.appended_ms == NOW + 2 * MINUTE
    behind = s.send(kind="dislike", at=2, now=1)
    assert behind.appended_ms == NOW + 2 * MINUTE


def test_the_state_of_the_version_before_goes_on():
    """An upgrade must not end the sessions that are open."""
    s = Session()
    old = pb.SessionRecord(
        session_id="s", version=1, applied=1, step_count=1, last_timestamp_ms=NOW
    )
    old.steps.add(item_id="a", seq=1, timestamp_ms=NOW)
    s.state = KeyState(old, b"").to_bytes(old.SerializeToString())
    record = s.send(item="b", at=1)
    assert items(record) == ["a", "b"]
    assert (record.version, record.incarnation) == (2, 0)


def test_the_first_user_joins_a_session_and_stays():
    """A login in mid-session names it; another login does not steal it."""
    s = Session()
    assert s.send().user_id == ""
    assert s.send(at=1, user_id="u1").user_id == "u1"
    assert s.send(at=2, user_id="u2").user_id == "u1"


@pytest.mark.parametrize("key", [b"", b"other", b"\xff\xfe", b"x" * 10_000])
def test_a_record_under_another_key_is_refused(key):
    """State and order live by the key: an event under a wrong one would split its session."""
    s = Session()
    outcome = s.feed(encode_event(Event("view", "a", NOW, session_id="s")), key)
    assert outcome.reason == Reason.WRONG_KEY
    assert "session_id" in outcome.detail


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\xff\xfe", Reason.MALFORMED_JSON),
        (b"[1]", Reason.MALFORMED_JSON),
        (b'{"v":2}', Reason.UNSUPPORTED_VERSION),
        (b'{"v":1}', Reason.INVALID_FIELD),
        (b'{"v":1,"type":1,"item_id":2,"timestamp_ms":"x"}', Reason.INVALID_FIELD),
        (b'{"v":1,"pad":"' + b"x" * 70_000 + b'"}', Reason.TOO_LARGE),
    ],
)
def test_faulty_records_are_dead_letters_and_leave_no_state(raw, reason):
    """Bad input has a reason, and costs neither the job nor memory."""
    s = Session()
    assert s.feed(raw).reason == reason
    assert s.state is None


def test_all_faults_of_a_record_are_named_at_once():
    """A sender mends all of an event's faults in one go."""
    detail = Session().feed(b'{"v":1,"type":1,"timestamp_ms":"x","position":-1}').detail
    for field in ("type", "item_id", "timestamp_ms", "session_id", "position"):
        assert field in detail


def test_a_state_of_another_version_is_an_error_and_not_misread():
    """After a change of format an old checkpoint must not turn into nonsense."""
    with pytest.raises(ValueError, match="state version 9"):
        KeyState.from_bytes(b"\x09\x00\x00\x00\x00")


def test_an_erased_session_stays_erased():
    """Its next event brought everything back: the job had kept what all others had erased."""
    s = Session()
    first = s.send(item="a", user_id="jane", event_id="1")
    assert s.feed(b"", append=NOW + MINUTE) == Erasure("s")
    assert s.state is None
    record = s.send(item="b", at=2, event_id="1")
    assert (items(record), record.version, record.user_id) == (["b"], 1, "")
    assert Applied.after(first).returns(record)  # wherever the tombstone has not been read yet


def test_a_session_without_state_is_erased_by_its_key():
    """Its record is still in `sessions`, and in Redis, when the job's state has expired."""
    assert Session().feed(b"", b"s") == Erasure("s")


def test_a_user_without_session_ids_is_erased_by_the_users_key():
    """The record's key names the user; `sessions` has the visit under an id of its own."""
    s = Session()
    visit = s.send(session_id="", user_id="jane").session_id
    assert s.feed(b"", b"u:jane") == Erasure(visit)
    assert s.state is None


def test_an_erasure_needs_a_key_that_a_session_can_have():
    """Without one it would say nothing; a tombstone with another key could not be read."""
    s = Session()
    s.send()
    before = s.state
    assert isinstance(s.feed(b"", b""), DeadLetter)
    for key in (b"\xff", b"k" * 321):
        assert s.feed(b"", key).reason == Reason.WRONG_KEY
    assert s.state == before
