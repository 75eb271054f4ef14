"""What a user did in earlier sessions: when a session is over, what of it stays, what is erased."""

import orjson
import pytest

from nextclick import Event, encode_event
from nextclick.limits import (
    MAX_DISLIKED_ITEMS,
    MAX_LIKED_ITEMS,
    MAX_MERGED_SESSIONS,
    MAX_OPEN_SESSIONS,
    MAX_PURCHASED_ITEMS,
    PROFILE_ITEMS,
)
from nextclick.v1 import session_pb2 as pb
from streaming.profile_state import ProfileState
from streaming.profiles import process
from streaming.raw_record import RawRecord
from tests.unit.streaming.profiled_user import DAY, MINUTE, NOW, Job, items, marked

DELETED = orjson.dumps({"v": 1, "user_id": "u", "state": "deleted"})
REFUSES = orjson.dumps({"v": 1, "user_id": "u", "state": "active", "consent": False})
AGREES = orjson.dumps({"v": 1, "user_id": "u", "state": "active"})


def test_a_session_is_in_the_profile_once_the_next_one_begins():
    """A visitor who comes back must not be a stranger; the running session is no past one."""
    job = Job()
    assert job.send("a", 0) is None
    assert job.send("b", 1) is None
    profile = job.send("c", DAY, session="s2")
    assert items(profile) == ["a", "b"]
    assert (profile.user_id, profile.sessions, profile.steps) == ("u", 1, 2)
    assert profile.first_timestamp_ms == NOW
    assert profile.last_timestamp_ms == NOW + MINUTE
    assert [note.session_id for note in profile.merged] == ["s"]


def test_a_session_is_in_the_profile_after_half_an_hour_without_an_event():
    """Whoever comes back after a week must find the last session there on the first page."""
    job = Job()
    job.send("a", 0)
    job.send("b", 20)
    job.pass_to(49)
    assert job.profile() is None
    job.pass_to(50)
    assert items(job.profile()) == ["a", "b"]


def test_a_session_that_goes_on_after_that_is_not_counted_twice():
    """A tab that stays open for hours must not look like two visits."""
    job = Job()
    job.send("a", 0)
    job.send("b", 1)
    job.send("b", 40)
    job.send("c", 41)
    profile = job.send("d", DAY, session="s2")
    assert [(i.item_id, i.steps, i.sessions) for i in profile.items] == [
        ("a", 1, 1), ("b", 2, 1), ("c", 1, 1),
    ]  # fmt: skip
    assert (profile.sessions, profile.steps, profile.repeated_steps) == (1, 4, 0)


def test_a_session_that_began_without_a_step_is_counted_with_its_first_one():
    """Who has hidden an item, and comes back to the page an hour later."""
    job = Job()
    job.send("a", 0, "dislike")
    job.send("b", 60)
    job.send("b", 120)
    job.pass_to(DAY)
    assert (job.profile().sessions, job.profile().steps) == (1, 2)


def test_a_session_with_more_steps_than_its_record_has_is_counted():
    """Music: fifty songs are an afternoon."""
    job = Job()
    for at in range(60):
        job.send(f"i{at}", at)
    job.pass_to(DAY)
    assert (job.profile().sessions, job.profile().steps) == (1, 50)
    job.send("i60", DAY)
    job.pass_to(2 * DAY)
    assert (job.profile().sessions, job.profile().steps) == (1, 51)


def test_the_item_disliked_last_is_among_those_that_are_kept():
    """Without a step between, all have the same time: the newest must not be the one that goes."""
    job = Job()
    job.send("z", 0)
    for n in range(MAX_DISLIKED_ITEMS + 1):
        job.send(f"z{n:03}", 1, "dislike")
    job.send("a", 2, "dislike")
    assert marked(job.profile().disliked)[-1] == "a"


def test_two_sessions_side_by_side_are_each_counted_once():
    """A phone and a laptop in turn: each event of one follows one of the other."""
    job = Job()
    for at in range(6):
        job.send("xyz"[at // 2], at, session=f"s{at % 2}")
    job.pass_to(DAY)
    assert [(i.item_id, i.steps, i.sessions) for i in job.profile().items] == [
        ("x", 2, 2), ("y", 2, 2), ("z", 2, 2),
    ]  # fmt: skip
    assert job.profile().sessions == 2


def test_steps_on_items_of_earlier_sessions_are_repeated_ones():
    """It tells users who come for the same things from those who look for new ones."""
    job = Job()
    job.send("a", 0)
    job.send("a", 1)
    job.send("a", DAY, session="s2")
    job.send("b", DAY + 1, session="s2")
    profile = job.send("c", 2 * DAY, session="s3")
    assert (profile.steps, profile.repeated_steps) == (4, 1)


def test_weights_are_halved_every_thirty_days():
    """What was of interest half a year ago counts little against yesterday."""
    job = Job()
    job.send("a", 0)
    job.send("a", 30 * DAY, session="s2")
    job.send("a", 60 * DAY, session="s3")
    job.pass_to(61 * DAY)
    assert [item.weight for item in job.profile().items] == [1.75]


def test_an_item_has_the_strongest_of_its_types():
    """Seen again after it was bought, it was bought all the same."""
    job = Job()
    job.send("a", 0)
    job.send("a", 1, "purchase")
    job.send("a", DAY, "view", session="s2")
    job.pass_to(2 * DAY)
    [item] = job.profile().items
    assert item.type == pb.EVENT_TYPE_PURCHASE


def test_a_purchase_after_the_session_counted_as_over_strengthens_its_item():
    """Else an item that was bought late would never be known as bought among the items."""
    job = Job()
    job.send("a", 0)
    job.send("a", 40, "purchase")
    job.pass_to(DAY)
    [item] = job.profile().items
    assert (item.type, item.steps) == (pb.EVENT_TYPE_PURCHASE, 1)


def test_what_is_bought_liked_and_disliked_is_there_at_once():
    """The next page of the same session must not offer again what was just hidden or bought."""
    job = Job()
    profile = job.send("a", 0, "purchase")
    assert marked(profile.purchased) == ["a"]
    profile = job.send("b", 1, "like")
    assert marked(profile.liked) == ["b"]
    profile = job.send("c", 2, "dislike")
    assert marked(profile.disliked) == ["c"]
    assert profile.disliked[0].timestamp_ms == NOW + MINUTE
    assert not profile.items, "the session runs"
    assert marked(profile.purchased) == ["a"]


def test_an_item_bought_again_is_there_once_with_the_last_time():
    """The days since the purchase decide whether it is offered again."""
    job = Job()
    job.send("a", 0, "purchase")
    job.send("b", 1, "purchase")
    profile = job.send("a", DAY, "purchase", session="s2")
    assert marked(profile.purchased) == ["b", "a"]
    assert profile.purchased[-1].timestamp_ms == NOW + DAY * MINUTE


def test_a_visitor_who_signs_in_brings_the_steps_before():
    """What was looked at before the sign-in is what the user came for."""
    job = Job()
    job.send("a", 0, user="")
    job.send("b", 1, user="")
    assert job.send("c", 2) is None
    profile = job.send("d", DAY, session="s2")
    assert items(profile) == ["a", "b", "c"]


def test_anonymous_visitors_leave_nothing():
    """Neither state nor records."""
    job = Job()
    job.send("a", 0, user="")
    job.pass_to(DAY)
    assert not job.users
    assert not job.log


def test_all_lists_are_bounded_and_the_oldest_make_room():
    """A robot that signs in must not make a record that no reader takes."""
    job = Job()
    for at in range(130):
        session = f"s{at // 25}"
        job.send(f"bought-{at:03}", at, "purchase", session=session)
        job.send(f"liked-{at:03}", at, "like", session=session)
        job.send(f"hidden-{at:03}", at, "dislike", session=session)
    job.pass_to(DAY)
    profile = job.profile()
    assert marked(profile.purchased) == [f"bought-{n:03}" for n in range(30, 130)]
    assert marked(profile.liked) == [f"liked-{n:03}" for n in range(80, 130)]
    assert marked(profile.disliked) == [f"hidden-{n:03}" for n in range(80, 130)]
    assert (len(profile.purchased), len(profile.liked), len(profile.disliked)) == (
        MAX_PURCHASED_ITEMS, MAX_LIKED_ITEMS, MAX_DISLIKED_ITEMS,
    )  # fmt: skip
    assert len(profile.items) == PROFILE_ITEMS
    assert items(profile)[-1] == "liked-129"


def test_at_most_so_many_sessions_are_open_and_noted():
    """The state of a user who opens a session a click must not grow."""
    job = Job()
    for at in range(MAX_MERGED_SESSIONS + 5):
        job.send("a", at, session=f"s{at}")
    for at in range(MAX_OPEN_SESSIONS + 1):  # all of them go on
        job.send("b", 20 + at, session=f"s{at + 7}")
    state = ProfileState.from_bytes(job.users["u"])
    assert len(state.open) == MAX_OPEN_SESSIONS
    assert len(state.profile.merged) <= MAX_MERGED_SESSIONS
    job.pass_to(DAY)
    assert [(i.item_id, i.steps, i.sessions) for i in job.profile().items] == [
        ("a", 13, 13), ("b", 5, 5),
    ]  # fmt: skip
    assert job.profile().sessions == 13


def test_a_session_that_goes_on_after_its_note_is_gone_is_not_counted_twice():
    """Notes are few; that the session is long known is seen by when its steps arrived."""
    job = Job()
    job.send("a", 0)
    for at in range(1, MAX_MERGED_SESSIONS + 3):
        job.send("b", at, session=f"s{at}")
    job.send("c", 20)
    job.pass_to(DAY)
    steps = [(item.item_id, item.steps) for item in job.profile().items]
    assert steps == [("a", 1), ("b", 10), ("c", 1)]


def test_a_session_that_returns_in_another_life_is_another_session():
    """Its state has expired; the next event begins it anew, as everywhere."""
    job = Job()
    job.send("a", 0)
    job.send("a", 3 * DAY)
    job.pass_to(4 * DAY)
    [item] = job.profile().items
    assert (item.steps, item.sessions, job.profile().sessions) == (2, 2, 2)
    assert job.profile().repeated_steps == 1


def test_a_record_that_comes_again_changes_nothing():
    """After a failure, Flink hands over what it has handed over before."""
    job = Job()
    job.send("a", 0)
    before, log = job.users["u"], list(job.log)
    record = pb.SessionRecord.FromString(job.sessions["s"][5:])  # a state is a head, then it
    raw = RawRecord(record.SerializeToString(), b"u", "sessions", 0, 9, NOW)
    job.hand("u", raw)
    assert job.users["u"] is before
    assert job.log == log


def test_an_erased_session_leaves_the_profile():
    """Open or over: its items are nowhere, not in what was bought or hidden either."""
    job = Job()
    job.send("old", 0, session="s0")
    job.send("a", DAY, "purchase")
    job.send("b", DAY + 1, "dislike")
    assert marked(job.profile().purchased) == ["a"]
    profile = job.erase()
    assert items(profile) == ["old"]
    assert not profile.purchased
    assert not profile.disliked
    job.pass_to(2 * DAY)
    assert items(job.profile()) == ["old"]
    job.send("c", 2 * DAY, session="s2")
    job.pass_to(2 * DAY + 60)
    assert items(job.profile()) == ["old", "c"]
    assert items(job.erase("s2")) == ["old"]


def test_a_profile_that_an_erased_session_leaves_empty_is_gone():
    """A record without items would still say that the user has been here."""
    job = Job()
    job.send("a", 0, "purchase")
    assert job.erase() is None
    assert job.log[-1] == ("u", None)
    assert job.users["u"] is None


def test_of_an_erased_session_with_more_steps_than_are_kept_nothing_stays():
    """Its first items are not in its record any more, so nobody could tell which they were."""
    job = Job()
    job.send("old", 0, session="s0")
    for at in range(60):
        job.send(f"i{at}", DAY + at)
    job.pass_to(2 * DAY)
    assert len(job.profile().items) == 50
    assert job.erase() is None


@pytest.mark.parametrize("user", ["u", ""])
def test_a_deleted_user_has_no_profile_of_a_session_that_goes_on(user):
    """Whoever deletes the account, and stays on the page, must not begin another profile."""
    job = Job()
    job.send("a", 0, "purchase")
    job.send("b", 1, "dislike")
    assert job.put_user(DELETED, 2) is None
    assert job.log[-1] == ("u", None)
    job.send("c", 3, "purchase", user=user)
    job.pass_to(DAY)
    assert job.profile() is None
    job.send("d", DAY + 1, "purchase", session="s2")
    job.pass_to(2 * DAY)
    profile = job.profile()
    assert items(profile) == marked(profile.purchased) == ["d"]
    assert not profile.disliked
    assert profile.incarnation == NOW + (DAY + 1) * MINUTE


def test_what_another_user_does_in_a_session_is_in_no_profile():
    """Two who share a device may not see each other's purchases; who has refused has no profile."""
    job = Job()
    job.send("a", 0, "like")
    job.send("b", 1, "purchase", user="other")
    job.send("c", 2, user="")
    job.send("d", 3, "dislike")
    job.pass_to(DAY)
    assert items(job.profile()) == marked(job.profile().liked) == ["a"]
    assert not job.profile().purchased
    assert not job.profile().disliked
    assert job.profile("other") is None


def test_steps_that_are_read_after_a_later_deletion_stay_erased():
    """The job reads two topics; what it reads first is chance, the times of arrival are not."""
    job = Job()
    job.put_user(DELETED, 5)
    job.now = NOW + 4 * MINUTE  # this event arrived before
    job.feed(encode_event(Event("like", "a", job.now, session_id="s", user_id="u")), "s", "u")
    job.send("b", 6, session="s2")
    job.pass_to(DAY)
    assert items(job.profile()) == ["b"]
    assert not job.profile().liked


def test_a_profile_that_began_after_a_deletion_is_not_erased_by_it():
    """A job that has lost its state reads `users` from the beginning, beside newer events."""
    job = Job()
    job.send("a", 10, "purchase")
    job.now = NOW + 5 * MINUTE
    assert marked(job.put_user(DELETED).purchased) == ["a"]
    job.pass_to(DAY)
    assert items(job.profile()) == ["a"]


def test_a_user_who_refuses_gets_no_profile_until_that_changes():
    """Without consent nothing may be kept; with it, nothing of the time before."""
    job = Job()
    job.send("a", 0, "purchase")
    assert job.put_user(REFUSES, 1) is None
    written = len(job.log)
    job.send("b", 2, "purchase")
    job.put_user(REFUSES, 3)
    job.pass_to(400 * DAY)
    assert len(job.log) == written
    job.send("c", 400 * DAY)
    job.put_user(AGREES, 400 * DAY + 1)
    job.send("d", 400 * DAY + 2)
    job.send("e", 400 * DAY + 3, session="s2")
    job.pass_to(401 * DAY)
    assert items(job.profile()) == ["e"]
    assert not job.profile().purchased


def test_other_changes_of_a_user_change_no_profile():
    """A shop that puts its users every night must not lose what they did."""
    job = Job()
    job.send("a", 0, "like")
    before = job.users["u"]
    assert marked(job.put_user(AGREES, 1).liked) == ["a"]
    for torn in (b"[]", b"{", b"\xff", b'{"consent":"no"}'):
        job.put_user(torn)
    assert job.users["u"] is before


def test_a_profile_expires_half_a_year_after_its_last_event():
    """A tombstone says so to topic, Redis and servers."""
    job = Job()
    job.send("a", 0)
    job.send("b", 10, session="s2")
    job.pass_to(180 * DAY + 9)
    assert items(job.profile()) == ["a", "b"]
    job.pass_to(180 * DAY + 10)
    assert job.profile() is None
    assert job.users["u"] is None


def test_it_does_not_matter_when_flink_looks_at_an_expired_profile():
    """A job that is behind finds the next event before its timers are due."""
    job = Job()
    job.send("a", 0)
    job.send("b", 1, session="s2")
    job.timers.clear()
    profile = job.send("c", 181 * DAY, session="s3")
    assert profile is None
    job.pass_to(182 * DAY)
    assert items(job.profile()) == ["c"]
    assert job.profile().incarnation == NOW + 181 * DAY * MINUTE


def test_timers_are_few():
    """Each lies in every checkpoint: one for a user, however many events there are."""
    job = Job()
    for at in range(200):
        job.send("a", 10 * at, session=f"s{at // 5}")
        assert len(job.timers["u"]) == 1
    job.pass_to(100 * DAY)
    assert len(job.timers["u"]) == 1
    job.put_user(DELETED)
    assert len(job.timers["u"]) == 1
    job.pass_to(300 * DAY)
    assert not job.timers["u"]
    assert job.users["u"] is None


def test_a_key_that_is_no_text_is_passed_over():
    """Anybody who may write to `users` could otherwise stop the job."""
    raw = RawRecord(DELETED, b"\xff", "users", 0, 0, NOW)
    assert process(None, raw, NOW) == (None, ())


def test_the_state_says_its_version():
    """A job of another version must fail, not misread it."""
    job = Job()
    job.send()
    state = job.users["u"]
    assert ProfileState.from_bytes(state).to_bytes() == state
    with pytest.raises(ValueError, match="state version 9: this job reads version 1"):
        ProfileState.from_bytes(b"\x09" + state[1:])
