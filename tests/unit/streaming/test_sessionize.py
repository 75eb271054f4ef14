"""The rules of time, order and identity, event by event, without Flink."""

import pytest

from nextclick import Context, Event, encode_event
from nextclick.codec import DeadLetterReason as Reason
from nextclick.event_types import EVENT_TYPES, Effect
from nextclick.limits import MAX_EVENT_IDS, MAX_SESSION_STEPS, SESSION_STEPS
from nextclick.v1 import session_pb2 as pb
from streaming.sessionize import KeyState, RatingThresholds
from tests.unit.streaming.keyed_events import MINUTE, NOW, Session, items


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


def test_the_first_user_joins_a_session_and_stays():
    """A login in mid-session names it; another login does not steal it."""
    s = Session()
    assert s.send().user_id == ""
    assert s.send(at=1, user_id="u1").user_id == "u1"
    assert not s.send(at=2, user_id="u1").several_users
    shared = s.send(at=3, user_id="u2")
    assert (shared.user_id, shared.several_users) == ("u1", True)
    assert s.send(at=4, user_id="u1").several_users


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


def test_a_session_knows_the_last_that_was_said_of_its_context():
    """A visitor who changes to the phone is there from then on, and still in the same country."""
    s = Session()
    assert not s.send(at=0).HasField("context")
    s.send(at=1, context=Context(device="desktop", country="DE"))
    record = s.send(at=2, context=Context(device="mobile"))
    assert record.context == pb.Context(device="mobile", country="DE")
    assert s.send(at=3).context == record.context


def test_a_late_event_only_adds_to_the_context():
    """A click that a phone sends later must not bring back where it was then."""
    s = Session()
    s.send(at=10, context=Context(country="FR"))
    record = s.send(at=5, now=11, context=Context(country="DE", device="mobile"))
    assert record.context == pb.Context(device="mobile", country="FR")
    # Of the same moment, the one that arrived last counts.
    assert s.send(at=10, now=11, context=Context(country="BE")).context.country == "BE"


def test_a_context_alone_changes_the_session():
    """Readers take only records of higher versions: they would not learn of the context."""
    s = Session()
    before = s.send(at=0)
    record = s.send("newsletter", at=1, context=Context(channel="newsletter"))
    assert (record.version, record.applied, record.step_count) == (before.version + 1, 2, 1)
    again = s.send("newsletter", at=2, context=Context(channel="newsletter"))
    assert (again.version, again.applied) == (record.version, 3)
    assert [step.seq for step in s.send(at=3, context=Context(channel="app")).steps] == [1, 3]


def test_a_repeated_event_says_nothing_new_of_the_context():
    """A retry that comes after the next event would turn the context back."""
    s = Session()
    s.send(at=0, event_id="e", context=Context(country="DE"))
    s.send(at=1, context=Context(country="FR"))
    assert s.send(at=0, now=2, event_id="e", context=Context(country="DE")).context.country == "FR"


def test_a_users_next_visit_begins_without_a_context():
    """Yesterday's country is not today's."""
    s = Session()
    fields = {"session_id": "", "user_id": "u"}
    s.send(at=0, context=Context(country="DE", device="mobile"), **fields)
    record = s.send(at=31, context=Context(device="desktop"), **fields)
    assert record.context == pb.Context(device="desktop")
